import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchArtifact } from '../../../cli/fetch/fetch';
import { parseModel } from '../../../lib/spec';
import type { FetchSource, LocalOptions } from '../../../runtime/cluster/local';
import type { Cluster, Snapshot } from '../../../runtime/cluster/port';
import { statusOf } from '../../../runtime/core/lifecycle/status';
import { isReady, model, now, when } from '../conformance';
import type { Store } from '../../cli/fetch/support';
import { BYTES, LOOPBACK, SHA, serveBytes, store } from '../../cli/fetch/support';
import type { Place } from './support';
import { onnxBytes } from '../../support/onnxbytes';
import { bytesOf, open, place, replicasIn, REST } from './support';

// One definition serves a laptop and a cluster: what pods load, processes are given, too.

const FILES = { by: 'files', manager: 'files' };
let here: Place;
let cluster: Cluster;
let source: Store | undefined;
let noted: string[];
let lent: boolean[];
const loads: Promise<void>[] = [];
beforeEach(() => {
  here = place();
  noted = [];
  lent = [];
});
afterEach(async () => {
  await cluster.close();
  await source?.close();
  source = undefined;
  // What is being loaded when a cluster closes fails by itself, and writes until then.
  await Promise.allSettled(loads.splice(0));
  here.remove();
});

const loader: FetchSource = ({ source: wanted, trusted }, to, log) => {
  lent.push(trusted);
  const { uri, sha256, endpoint } = wanted;
  const loaded = fetchArtifact(
    { uri, sha256, endpoint, allowHost: LOOPBACK, ...to },
    { env: {}, log, pauseMs: 1 },
  );
  loads.push(loaded);
  return loaded;
};
const start = async (more: Partial<LocalOptions> = {}): Promise<void> => {
  cluster = await open(here, { fetch: loader, info: (line) => noted.push(line), ...more });
};
const bucket = async (): Promise<string> => {
  source = await store((request, response) => serveBytes(request, response, BYTES, '"1"'));
  return source.url;
};
const whyIn = ({ models }: Snapshot) => models.get('iris')?.arms[0]?.why;
const stored = (endpoint: string, more: object = {}) =>
  model({ source: { uri: 's3://bucket/iris.onnx', endpoint, ...more } });

test('an artifact of a store is loaded, checked and served; its progress is the status', async () => {
  const endpoint = await bucket();
  await start();
  await cluster.apply(stored(endpoint, { sha256: SHA }), FILES);
  const loading = now(cluster).models.get('iris');
  expect(loading?.arms[0]?.why).toMatchObject({
    cause: 'artifact-loading',
    object: 's3://bucket/iris.onnx',
  });
  const ready = await when(cluster, isReady('iris', '1'));
  const [replica] = replicasIn(cluster, ready);
  const served = await bytesOf(replica?.port);
  expect(Buffer.from(served).length).toBeGreaterThan(0);
  expect(existsSync(join(here.directory, 'artifacts', `${SHA}.onnx`))).toBe(true);
  expect(readFileSync(join(here.directory, 'artifacts', `${SHA}.onnx`)).equals(BYTES)).toBe(true);
  expect(noted.join()).toContain('s3://bucket/iris.onnx');
  expect(lent).toEqual([true]);
});

test('an artifact is loaded once: for a changed share, another model, and the next start', async () => {
  const endpoint = await bucket();
  await start();
  await cluster.apply(stored(endpoint, { sha256: SHA }), FILES);
  await when(cluster, isReady('iris', '1'));
  const asked = source?.requests.length;
  const { definition } = stored(endpoint, { sha256: SHA });
  await cluster.apply(parseModel({ ...definition, labels: { team: 'x' } }), FILES);
  await cluster.apply(parseModel({ ...definition, model_id: 'other' }), FILES);
  await when(cluster, isReady('other', '1'));
  await cluster.close();
  await source?.close();
  source = undefined;
  await start();
  await when(cluster, isReady('iris', '1'));
  expect(asked).toBeGreaterThan(0);
  expect(lent).toHaveLength(1);
});

test('a load interrupted by a restart resumes at the next start', async () => {
  const endpoint = await bucket();
  const never = (): Promise<never> => new Promise(() => undefined);
  await start({ fetch: never });
  await cluster.apply(stored(endpoint), FILES);
  expect(whyIn(now(cluster))?.cause).toBe('artifact-loading');
  await cluster.close();
  await start();
  await when(cluster, isReady('iris', '1'));
});

test('a failing source is reported with its reason as failure of the model alone', async () => {
  source = await store((_, response) => response.writeHead(404).end());
  const told: string[] = [];
  await start({ warn: (message) => told.push(message) });
  await cluster.apply(stored(source.url), FILES);
  const seen = await when(cluster, (one) => whyIn(one)?.cause === 'artifact-unavailable');
  const record = seen.models.get('iris');
  expect(record && statusOf(record)).toMatchObject({ status: 'failed', serving: false });
  expect(whyIn(seen)?.message).toMatch(/iris\.onnx: the source answered 404.*tried again/);
  await cluster.apply(model({ id: 'other' }), REST);
  await when(cluster, isReady('other', '1'));
});

test("bytes with another digest than the definition's are not served", async () => {
  const endpoint = await bucket();
  await start();
  await cluster.apply(stored(endpoint, { sha256: 'b'.repeat(64) }), FILES);
  const seen = await when(cluster, (one) => whyIn(one)?.cause === 'artifact-unavailable');
  expect(whyIn(seen)?.message).toMatch(/sha256/);
});

test('a new version rolls when its artifact is loaded; the old one serves meanwhile', async () => {
  await start();
  await cluster.apply(model(), FILES);
  await when(cluster, isReady('iris', '1'));
  const endpoint = await bucket();
  const next = { version: '2', source: { uri: 's3://bucket/iris.onnx', endpoint } };
  await cluster.apply(model(next), FILES);
  expect(now(cluster).models.get('iris')?.arms[0]?.ready).toBe(1);
  await when(cluster, isReady('iris', '2'));
});

test('a definition by REST gets none of the service’s credentials', async () => {
  const endpoint = await bucket();
  await start();
  await cluster.apply(stored(endpoint), REST);
  await when(cluster, isReady('iris', '1'));
  expect(lent).toEqual([false]);
});

test('a file too large for a ConfigMap runs here', async () => {
  const large = Buffer.alloc(1_200_000, 7);
  mkdirSync(here.models, { recursive: true });
  writeFileSync(join(here.models, 'm.onnx'), large);
  await start();
  await cluster.apply(model(), REST);
  await when(cluster, isReady('iris', '1'));
});

test('a model that cannot run here is refused with a hint to its objects', async () => {
  await start();
  const image = model({ framework: 'tensorflow', image: 'a/b:1', source: undefined });
  await expect(cluster.apply(image, REST)).rejects.toThrow(/image.*\?dry_run=true/);
  const claim = model({ source: 'pvc://claim/iris.onnx' });
  await expect(cluster.apply(claim, REST)).rejects.toThrow(/volume of Kubernetes/);
});

test('a model of a store with external weights is served with them', async () => {
  const weights = Buffer.from('weights of a model');
  const bytes = onnxBytes({ location: 'w.data', length: weights.length });
  source = await store((request, response) =>
    serveBytes(request, response, request.url?.endsWith('/w.data') === true ? weights : bytes),
  );
  await start();
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await cluster.apply(stored(source.url, { sha256 }), FILES);
  const ready = await when(cluster, isReady('iris', '1'));
  const [replica] = replicasIn(cluster, ready);
  expect(await bytesOf(replica?.port)).toContain(weights.toString());
  await cluster.close();
  await start();
  // The folder of definitions is applied at each start: what is kept is what is meant.
  const again = await cluster.apply(stored(source.url, { sha256 }), FILES);
  expect([again, lent.length]).toEqual([{ revision: 1, changed: false }, 1]);
  const other = createHash('sha256').update('another model').digest('hex');
  await cluster.apply(stored(source.url, { sha256: other }), FILES);
  expect(lent).toHaveLength(2);
});
