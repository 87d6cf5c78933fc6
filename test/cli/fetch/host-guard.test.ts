import type { Resolved } from '../../../cli/fetch/host-guard';
import { guardHosts } from '../../../cli/fetch/host-guard';
import type { Place, Store } from './support';
import { BYTES, place, serveBytes, store } from './support';

// A name may resolve to anything, and to something else a second later.

let here: Place;
let open: Store[];
beforeEach(() => {
  here = place();
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map(({ close }) => close()));
  here.remove();
});

async function storeOf(...args: Parameters<typeof store>): Promise<Store> {
  const made = await store(...args);
  open.push(made);
  return made;
}

const v4 = (address: string): Resolved => ({ address, family: 4 });
const portOf = ({ url }: Store): string => new URL(url).port;

/** What becomes of a connection to a URL whose host has these addresses. */
async function reached(
  uri: string,
  addresses: readonly string[],
  options: { readonly allowHosts?: readonly string[]; readonly named?: readonly string[] } = {},
): Promise<readonly string[] | 'refused'> {
  const { allowHosts = [], named = [] } = options;
  const resolve = async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const guard = guardHosts({ allowHosts, named, resolve });
  const url = new URL(uri);
  try {
    guard.expectHost(url, true);
  } catch {
    return 'refused';
  }
  return new Promise((done) => {
    guard.lookupFor(url)(url.hostname, { all: true }, (error, found) => {
      const all = found as readonly Resolved[];
      done(error === null ? all.map(({ address }) => address) : 'refused');
    });
  });
}

const INSIDE = [
  '10.0.0.7',
  '192.168.0.1',
  '172.20.1.1',
  '100.64.0.1',
  'fd12::1',
  '::ffff:10.0.0.7',
];
const NEVER = ['169.254.169.254', '169.254.0.23', '127.0.0.1', '::1', '0.0.0.0', 'fe80::1'];

test.each([
  ...INSIDE,
  ...NEVER,
  'fd20:ce::254',
  'fd00:ec2::254',
  '64:ff9b::a9fe:a9fe',
  '224.0.0.1',
])(
  'a public name that resolves to %s is refused, and one with public addresses is loaded',
  async (address) => {
    expect(await reached('https://models.example.com/x', [address])).toBe('refused');
    const both = await reached('https://models.example.com/x', [address, '8.8.8.8']);
    expect(both).toEqual(['8.8.8.8']);
  },
);

test.each([...INSIDE, ...NEVER])(
  'with a wildcard entry, %s is reached if it is inside',
  async (one) => {
    const allowHosts = ['*.example.com'];
    const found = await reached('https://models.example.com/x', [one], { allowHosts });
    expect(found).toEqual(INSIDE.includes(one) ? [one] : 'refused');
  },
);

test('a cluster name written by the author may have private addresses', async () => {
  const uri = 'http://minio.storage.svc:9000';
  const named = [uri];
  expect(await reached(uri, ['10.96.0.9'], { named })).toEqual(['10.96.0.9']);
  expect(await reached(uri, ['169.254.169.254'], { named })).toBe('refused');
  expect(await reached(uri, ['127.0.0.1'], { named })).toBe('refused');
  // A redirect to it is another's word.
  expect(await reached(uri, ['10.96.0.9'])).toBe('refused');
  const oci = { named: ['oci://registry.infra.svc:5000/m:1'] };
  expect(await reached('https://registry.infra.svc:5000/v2/', ['10.1.1.1'], oci)).toEqual([
    '10.1.1.1',
  ]);
});

test.each([
  'https://169.254.169.254/x',
  'https://[::1]/x',
  'https://localhost/x',
  'https://127.1/x',
])('%s is refused although the author wrote it, unless it is allowed', async (uri) => {
  expect(await reached(uri, ['127.0.0.1'], { named: [uri] })).toBe('refused');
  const { hostname } = new URL(uri);
  const listed = await reached(uri, ['127.0.0.1'], { allowHosts: [hostname] });
  // Written in brackets in lists, as in URLs.
  expect(listed).not.toBe('refused');
});

test('behind a proxy only the name is checked', () => {
  const { expectHost } = guardHosts({ allowHosts: ['*.lan'], named: ['http://minio.infra.svc'] });
  const ask = (host: string) => (): void => expectHost(new URL(`http://${host}`), false);
  expect(ask('models.example.com')).not.toThrow();
  expect(ask('minio.infra.svc')).not.toThrow();
  expect(ask('store.lan')).not.toThrow();
  expect(ask('other.infra.svc')).toThrow(/private network/);
  expect(ask('metadata.google.internal')).toThrow(/metadata service/);
});

test('the connection uses the checked address, and every address is checked', async () => {
  const made = await storeOf((request, response) => serveBytes(request, response, BYTES));
  const endpoint = `http://models.example.com:${portOf(made)}`;
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return [v4('127.0.0.1')];
  };
  const job = { uri: 'hf://o/n/m.bin', as: 'm.bin', endpoint };
  await here.run({ ...job, allowHost: ['models.example.com'] }, { resolve });
  expect(asked).toEqual(['models.example.com']);
  expect(here.read('m.bin').equals(BYTES)).toBe(true);
  expect(made.requests[0]?.headers.host).toBe(`models.example.com:${portOf(made)}`);
});

test('a name that is rebound to this machine is refused at once, with the correction', async () => {
  const made = await storeOf((_, response) => response.end('secret'));
  const endpoint = `http://models.example.com:${portOf(made)}`;
  const resolve = async () => [v4('127.0.0.1')];
  const job = { uri: 'hf://o/n/m.bin', as: 'm.bin', endpoint, allowHost: ['*.example.com'] };
  await expect(here.run(job, { resolve })).rejects.toThrow(
    /models\.example\.com:\d+ \(127\.0\.0\.1\): .*metadata service.*--allow-host models/,
  );
  expect(made.requests).toEqual([]);
  // One refusal, not six tries.
  expect(here.lines.filter((line) => /try \d of/.test(line))).toEqual([]);
});

test.each([
  'http://127.0.0.1:PORT/x',
  'http://inside.example.com:PORT/x',
  'http://localhost:PORT/x',
])('a redirect to %s is refused, and gets no credential', async (location) => {
  const inner = await storeOf((_, response) => response.end('secret'));
  const outer = await storeOf((_, response) =>
    response.writeHead(302, { location: location.replace('PORT', portOf(inner)) }).end(),
  );
  const resolve = async () => [v4('127.0.0.1')];
  const endpoint = `http://models.example.com:${portOf(outer)}`;
  const job = { uri: 'hf://o/n/m.bin', as: 'm.bin', endpoint, allowHost: ['models.example.com'] };
  await expect(here.run(job, { resolve, env: { HF_TOKEN: 't' } })).rejects.toThrow(
    /private network or a metadata service/,
  );
  expect([outer.requests.length, inner.requests.length]).toEqual([1, 0]);
});

test('the realm of a registry is checked, too', async () => {
  const realm = await storeOf((_, response) => response.end('{"token":"t"}'));
  const registry = await storeOf((_, response) =>
    response
      .writeHead(401, {
        'www-authenticate': `Bearer realm="http://inside.example.com:${portOf(realm)}/"`,
      })
      .end(),
  );
  const resolve = async () => [v4('127.0.0.1')];
  const endpoint = `http://models.example.com:${portOf(registry)}`;
  const job = { uri: 'oci://r.example.com/m:1', endpoint, allowHost: ['models.example.com'] };
  const env = { OCI_USERNAME: 'u', OCI_PASSWORD: 'p' };
  await expect(here.run(job, { resolve, env })).rejects.toThrow(/private network/);
  expect(realm.requests).toEqual([]);
});
