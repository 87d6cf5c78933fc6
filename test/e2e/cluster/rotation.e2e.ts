import { connect } from 'node:tls';
import { createAuthority } from '../../support/certificates';
import { call, until } from '../service';
import { apply } from './support/kubectl';
import type { Load } from './support/load';
import { steadyLoad } from './support/load';
import type { Place, Trust } from './support/place';
import {
  CERTIFICATE,
  digestOf,
  install,
  keysSecret,
  namespaceOf,
  randomKey,
} from './support/place';
import { ASK, RATE, standIn } from './support/standin';
import { Agent } from 'node:https';

// A Secret is replaced while callers keep asking: the certificate of the port, then the keys. The
// kubelet brings it to the pods within about a minute; the routers read it again by themselves.

const NAME = 'rotation.test';
/** The kubelet's period and its cache, and some more on a busy machine. */
const SYNC_MS = 240_000;

const authority = createAuthority();
const trust: Trust = { ca: authority.cert, servername: NAME };

function certificateSecret(namespace: string): { readonly secret: object; readonly cert: string } {
  const { cert, key } = authority.issue('router', NAME);
  const metadata = { name: CERTIFICATE, namespace };
  const stringData = { 'tls.crt': cert, 'tls.key': key };
  const secret = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata };
  return { secret: { ...secret, stringData }, cert };
}

let place: Place;
let routers: readonly string[];
beforeAll(async () => {
  const { secret } = certificateSecret(namespaceOf('rotation'));
  place = await install('rotation', { tls: trust, extra: [secret] });
  await place.applyModel(standIn('story'));
  await place.status('story', ({ status }) => status === 'running', 60_000);
  const path = 'jsonpath={.items[*].status.podIP}';
  const addresses = await place.kubectl('get', 'pods', '-l', 'app=ai-model-service', '-o', path);
  routers = addresses.split(' ');
});
const loads: Load[] = [];
afterAll(async () => {
  // A test that failed has not stopped its own.
  await Promise.all(loads.map((load) => load.stop()));
  await place?.end();
});

const PATH = '/api/v1/models/story/inference';
function loadWith(key: Place['key']): Load {
  const load = steadyLoad(place, { path: PATH, body: ASK, key }, RATE);
  loads.push(load);
  return load;
}

async function none(load: Load, what: string): Promise<void> {
  const { sent, rate, failed } = await load.stop();
  console.log(`${what}: ${sent} requests, ${rate} a second, ${failed.length} failed`);
  expect(failed.slice(0, 5)).toEqual([]);
  expect(rate).toBeGreaterThan(RATE * 0.9);
}

/** The certificate that a router shows, PEM without line breaks. */
function shownBy(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: 8080, ...trust }, () => {
      resolve(socket.getPeerCertificate().raw.toString('base64'));
      socket.end();
    });
    socket.on('error', reject);
  });
}

const everyRouter =
  <T>(ask: (host: string) => Promise<T>) =>
  (): Promise<readonly T[]> =>
    Promise.all(routers.map(ask));

test('the certificate is replaced under load without a failed request', async () => {
  const load = loadWith(place.key);
  const { secret, cert } = certificateSecret(place.namespace);
  const raw = cert.replace(/-----[^-]+-----|\s/g, '');
  await apply([secret]);
  const all = (shown: readonly string[]): boolean =>
    shown.length === 2 && shown.every((one) => one === raw);
  await until('the new certificate is shown', everyRouter(shownBy), all, SYNC_MS);
  await none(load, 'certificate');
});

test('keys are replaced under load: new ones work before old ones end, and no request fails', async () => {
  const agent = new Agent({ ...trust });
  const statusWith =
    (key: Place['key']) =>
    async (host: string): Promise<number> =>
      call(`https://${host}:8080${PATH}`, 'POST', ASK, agent, key).then(
        ({ status }) => status,
        // A poll that is cut off says nothing; the load counts what callers get.
        () => 0,
      );
  const entry = (name: string, key: string): object => ({
    name,
    sha256: digestOf(key),
    scopes: ['admin'],
  });
  const [before = ''] = Object.values(place.key);
  const next = randomKey();
  const header = { 'x-api-key': next };
  const old = loadWith(place.key);
  await apply([keysSecret(place.namespace, [entry('old', before), entry('new', next)])]);
  const works = (seen: readonly number[]): boolean => seen.every((status) => status === 200);
  await until('the new key works', everyRouter(statusWith(header)), works, SYNC_MS);
  const load = loadWith(header);
  await none(old, 'old key');
  await apply([keysSecret(place.namespace, [entry('new', next)])]);
  const refused = (seen: readonly number[]): boolean => seen.every((status) => status === 401);
  await until('the old key ends', everyRouter(statusWith(place.key)), refused, SYNC_MS);
  await none(load, 'new key');
  agent.destroy();
});
