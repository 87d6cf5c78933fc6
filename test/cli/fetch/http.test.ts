import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer, get } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { proxyFor } from '../../../cli/fetch/proxy';
import type { Place, Store } from './support';
import { BYTES, place, serveBytes, SHA, store } from './support';

// Redirects, certificates, proxies: what lies between a pod and a store.

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

const KEYS = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };

/** A certificate for 127.0.0.1 that nobody but `--ca` believes. */
function certificate(): { readonly file: string; readonly cert: Buffer; readonly key: Buffer } {
  const folder = join(here.folder, 'tls');
  mkdirSync(folder);
  const [file, keyFile] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const subject = ['-subj', '/CN=store', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const args = ['req', '-x509', ...kind, ...subject, '-keyout', keyFile, '-out', file];
  execFileSync('openssl', args, { stdio: 'pipe' });
  return { file, cert: readFileSync(file), key: readFileSync(keyFile) };
}

describe('redirects', () => {
  test('to another host keep the range and drop the credential', async () => {
    const cdn = await storeOf((request, response) => serveBytes(request, response, BYTES));
    const hub = await storeOf((_, response) => {
      response.writeHead(302, { location: `${cdn.url}/signed` }).end();
    });
    const uri = 'hf://org/name/m.bin';
    const env = { HF_TOKEN: 'secret' };
    await here.run({ uri, endpoint: hub.url, as: 'm.bin', sha256: SHA }, { env });
    expect(hub.requests[0]?.headers.authorization).toBe('Bearer secret');
    expect(cdn.requests).toHaveLength(1);
    expect(JSON.stringify(cdn.requests[0]?.headers)).not.toMatch(/secret|authorization/i);
    expect(here.read('m.bin').equals(BYTES)).toBe(true);
  });

  test('to the same host keep the credential', async () => {
    const hub = await storeOf((request, response) => {
      if (request.url === '/new') return serveBytes(request, response, BYTES);
      return response.writeHead(307, { location: '/new' }).end();
    });
    const env = { HF_TOKEN: 'secret' };
    await here.run({ uri: 'hf://o/n/m.bin', endpoint: hub.url, as: 'm.bin' }, { env });
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
    ]);
  });

  test('in a loop fail with the reason, without retries', async () => {
    const source = await storeOf((_, response) => {
      response.writeHead(302, { location: '/again' }).end();
    });
    const failing = here.run({ uri: 's3://b/m', endpoint: source.url, as: 'm' });
    await expect(failing).rejects.toThrow(/more than 5 redirects/);
    expect(source.requests).toHaveLength(6);
  });

  test('from https to http are refused', async () => {
    const { file, cert, key } = certificate();
    const plain = await storeOf((request, response) => serveBytes(request, response, BYTES));
    const source = await storeOf(
      (_, response) => void response.writeHead(302, { location: `${plain.url}/m?sig=x` }).end(),
      createServer({ cert, key }),
    );
    const failing = here.run({ uri: `${source.url}/m`, as: 'm', ca: file });
    await expect(failing).rejects.toThrow(/redirects to http:\S+\/m, must be https/);
    expect(plain.requests).toHaveLength(0);
  });
});

describe('certificates', () => {
  test('of the authority of --ca are trusted; without it nothing is sent', async () => {
    const { file, cert, key } = certificate();
    const source = await storeOf(
      (request, response) => serveBytes(request, response, BYTES),
      createServer({ cert, key }),
    );
    const job = { uri: 's3://b/m', endpoint: source.url, as: 'm', sha256: SHA };
    await expect(here.run(job, { env: KEYS })).rejects.toThrow(/self-signed certificate/);
    expect(source.requests).toHaveLength(0);
    await here.run({ ...job, ca: file }, { env: KEYS });
    expect(here.read('m').equals(BYTES)).toBe(true);
  });

  test('need a readable file, whose name is in the error', async () => {
    const failing = here.run({ uri: 's3://b/m', as: 'm', ca: '/nowhere/ca.crt' });
    await expect(failing).rejects.toThrow(/\/nowhere\/ca\.crt: .*--ca must name a PEM file/);
  });
});

describe('proxies', () => {
  /** A proxy that passes requests on and tunnels (RFC 9110, 9.3.6), and remembers what it was asked. */
  async function proxy() {
    const asked: string[] = [];
    const sockets = new Set<Socket>();
    const server = createHttpServer(({ url = '', headers }, response) => {
      asked.push(`${url} ${headers['proxy-authorization']}`);
      get(url, (answer) => answer.pipe(response));
    });
    server.on('connect', ({ url = '' }, client: Socket, head: Buffer) => {
      asked.push(`CONNECT ${url}`);
      const [host = '', port] = url.split(':');
      const upstream = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
      }
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    };
    return { port: (server.address() as AddressInfo).port, asked, close };
  }

  test('of the environment get their own password, except for hosts in NO_PROXY', async () => {
    const source = await storeOf((request, response) => serveBytes(request, response, BYTES));
    const { port, asked, close } = await proxy();
    try {
      const job = { endpoint: source.url, sha256: SHA };
      const HTTP_PROXY = `http://me:secret@127.0.0.1:${port}`;
      await here.run({ ...job, uri: 's3://b/m', as: 'a' }, { env: { HTTP_PROXY } });
      const password = Buffer.from('me:secret').toString('base64');
      expect(asked).toEqual([`${source.url}/b/m Basic ${password}`]);
      for (const NO_PROXY of ['127.0.0.1', '127.0.0.0/8', '*', source.url.replace('http://', '')]) {
        const uri = `s3://b/${NO_PROXY.length}`;
        await here.run({ ...job, uri, as: 'b' }, { env: { HTTP_PROXY, NO_PROXY } });
      }
      expect(asked).toHaveLength(1);
      expect(JSON.stringify(source.requests.map(({ headers }) => headers))).not.toMatch(
        /proxy-auth/,
      );
    } finally {
      await close();
    }
  });

  test('of https are tunnels, which see neither key nor content', async () => {
    const { file, cert, key } = certificate();
    const source = await storeOf(
      (request, response) => serveBytes(request, response, BYTES),
      createServer({ cert, key }),
    );
    const { port, asked, close } = await proxy();
    try {
      const env = { ...KEYS, HTTPS_PROXY: `127.0.0.1:${port}` };
      const job = { uri: 's3://b/m', endpoint: source.url, as: 'm', sha256: SHA };
      await here.run({ ...job, ca: file }, { env });
      expect(asked).toEqual([`CONNECT ${source.url.replace('https://', '')}`]);
      await expect(here.run({ ...job, to: `${here.folder}/x` }, { env })).rejects.toThrow(
        /self-signed certificate/,
      );
    } finally {
      await close();
    }
  });

  test.each([
    ['https://a.example.org/x', 'example.org', false],
    ['https://a.example.org/x', '.example.org', false],
    ['https://a.example.org/x', '*.example.org', false],
    ['https://notexample.org/x', 'example.org', true],
    ['https://a.example.org/x', 'other.org, a.example.org:443', false],
    ['https://a.example.org:8443/x', 'a.example.org:443', true],
    ['https://10.1.2.3/x', '10.0.0.0/8', false],
    ['https://11.1.2.3/x', '10.0.0.0/8', true],
    ['https://[fd00::1]/x', 'fd00::/8', false],
  ])('for %s with NO_PROXY=%s are used: %s', (url, NO_PROXY, through) => {
    const found = proxyFor(new URL(url), { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY });
    expect(found !== undefined).toBe(through);
  });
});

test('a server that closes at once while the disk is slow does not end the process', async () => {
  const source = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${BYTES.length}\r\nconnection: close\r\n\r\n`;
      socket.end(Buffer.concat([Buffer.from(head), BYTES]));
    });
  });
  await new Promise<void>((done) => source.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
  const folders = Array.from({ length: 20 }, (_, index) => join(here.folder, `${index}`));
  const job = { uri: 's3://b/m', endpoint: url, as: 'm', sha256: SHA };
  await Promise.all(folders.map((to) => here.run({ ...job, to })));
  expect(here.read('19/m').equals(BYTES)).toBe(true);
  await new Promise((done) => source.close(done));
});

test('a refused connection is reported with its address', async () => {
  const gone = await store(() => {});
  await gone.close();
  const failing = here.run({ uri: 's3://b/m', endpoint: gone.url, as: 'm' });
  await expect(failing).rejects.toThrow(/127\.0\.0\.1:\d+\/b\/m: connect ECONNREFUSED/);
});

test('a signed URL, which is a credential, is in no line, message or file', async () => {
  const { file, cert, key } = certificate();
  const source = await storeOf((request, response) => {
    if (request.url?.startsWith('/gone')) response.writeHead(404).end();
    else serveBytes(request, response, BYTES);
  }, createServer({ cert, key }));
  await here.run({ uri: `${source.url}/m?X-Amz-Signature=s3cr3t`, as: 'm', ca: file });
  const gone = here.run({ uri: `${source.url}/gone?sig=s3cr3t`, as: 'n', ca: file });
  const message = await gone.then(
    () => '',
    (error: Error) => error.message,
  );
  expect(message).toMatch(/404/);
  const marker = here.read('.artifact.json').toString();
  expect(here.lines.join('\n') + message + marker).not.toMatch(/s3cr3t/);
});
