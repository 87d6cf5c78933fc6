import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { call, until } from '../service';
import { steadyLoad } from './support/load';
import type { Place } from './support/place';
import { install } from './support/place';
import { ASK, RATE, standIn } from './support/standin';

// The API server stands still for a minute: it neither answers nor hangs up. Only on a cluster of our
// own, where its process can be stopped; nothing else may run there meanwhile.

const OUTAGE_MS = 60_000;
const { OWN_CLUSTER, CLUSTER_DIR = '' } = process.env;

interface Health {
  readonly status: string;
  readonly watches: readonly { readonly name: string; readonly phase: string }[];
}

/** Pid and start time, as the cluster keeps them: a number alone may have been given to another. */
function signalApiServer(signal: 'STOP' | 'CONT'): void {
  const file = join(CLUSTER_DIR, 'pid', 'kube-apiserver');
  const [pid = '', startedAt] = readFileSync(file, 'utf8').trim().split(' ');
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  if (fields[19] !== startedAt) throw new Error('the API server is another process now');
  execFileSync('kill', [`-${signal}`, pid]);
}

async function routersOf({ kubectl }: Place): Promise<readonly string[]> {
  const path = 'jsonpath={.items[*].status.podIP}';
  const addresses = await kubectl('get', 'pods', '-l', 'app=ai-model-service', '-o', path);
  return addresses.split(' ').map((ip) => `http://${ip}:8080`);
}

/** Every router is asked by itself: each has its own view. */
function healthOf({ key }: Place, routers: readonly string[]): () => Promise<readonly Health[]> {
  const ask = async (url: string): Promise<Health> =>
    (
      await call(`${url}/health/detailed`, 'GET', undefined, undefined, { ...key })
    ).json() as Health;
  return () => Promise.all(routers.map(ask));
}

const all =
  (phase: string) =>
  (routers: readonly Health[]): boolean =>
    routers.length === 2 &&
    routers.every(({ watches }) => watches.every((one) => one.phase === phase));

/** Stops it for the whole time; resolves with how long the routers took to say that they are blind. */
async function standStill(look: () => Promise<readonly Health[]>): Promise<number> {
  const begun = Date.now();
  signalApiServer('STOP');
  try {
    await until('all say stale', look, all('stale'), OUTAGE_MS);
    const toldMs = Date.now() - begun;
    await sleep(Math.max(0, OUTAGE_MS - toldMs));
    expect((await look()).map(({ status }) => status)).toEqual(['degraded', 'degraded']);
    return toldMs;
  } finally {
    signalApiServer('CONT');
  }
}

async function outage(place: Place): Promise<void> {
  const scaling = { minReplicas: 2, maxReplicas: 2 };
  const inference = { timeoutSeconds: 10, maxConcurrency: 128 };
  await place.applyModel(standIn('story', { DELAY_MS: '1000' }, { scaling, inference }));
  await place.status('story', ({ replicas }) => replicas.ready === 2, 60_000);
  // A controller that reads the leases of the nodes before the nodes renew them takes all pods for
  // not ready, and then the Service has no address: routers are called at theirs.
  const routers = await routersOf(place);
  const look = healthOf(place, routers);
  await until('all are current', look, all('synced'));
  const path = '/api/v1/models/story/inference';
  const load = steadyLoad(place, { path, body: ASK, routers }, RATE);
  const report = async (): Promise<number> => {
    await sleep(2000);
    const toldMs = await standStill(look);
    await until('all are current again', look, all('synced'), 60_000);
    // The node's controller has its say about nodes that were not heard, too.
    await place.applyModel(standIn('later'));
    await place.status('later', ({ status }) => status === 'running', 120_000);
    return toldMs;
  };
  const told = report();
  await told.catch(() => undefined);
  const { sent, rate, failed } = await load.stop();
  const toldMs = await told;
  console.log(`${sent} requests, ${rate} a second, ${failed.length} failed; told in ${toldMs} ms`);
  expect(failed.slice(0, 5)).toEqual([]);
  expect(rate).toBeGreaterThan(RATE * 0.9);
}

const NAME = 'a minute without the API server costs no request, is told, and is over by itself';

if (OWN_CLUSTER === undefined) {
  test.skip(NAME, () => undefined);
} else {
  test(NAME, async () => {
    const place = await install('outage');
    await outage(place).finally(place.end);
  });
}
