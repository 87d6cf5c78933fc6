import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseLoad, wireLoad } from '../../runtime/control/load-schema';
import type { Peers } from '../../runtime/control/peers';
import { ANSWER_MS, ASK_MS, createPeers } from '../../runtime/control/peers';
import { byKey, NO_ROLLOUTS } from '../../runtime/core/lifecycle/peers';
import { AT } from '../core/support';
import { until } from '../support/plane';

const ARM = { model: 'iris', arm: 'stable', inFlight: 3, queued: 1, capacity: 8, ready: 2 };
const LOAD = {
  router: 'b',
  at: AT,
  startedAt: AT - 9,
  arms: byKey([{ ...ARM, lastRequestAt: AT }]),
  ...NO_ROLLOUTS,
};
const GOOD = wireLoad(LOAD);

let server: Server;
let peers: Peers | undefined;
let answer: { status?: number; body: string } | undefined;
let asked: string[];
let timers: { call: () => void; ms: number; cancelled: boolean }[];

beforeEach(async () => {
  asked = [];
  timers = [];
  answer = { body: JSON.stringify(GOOD) };
  server = createServer(({ url = '' }, response) => {
    asked.push(url);
    if (answer === undefined) return;
    response.writeHead(answer.status ?? 200, { location: '/elsewhere' }).end(answer.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  peers?.stop();
  server.close();
  server.closeAllConnections();
});

function begin(): Peers {
  const { port } = server.address() as AddressInfo;
  peers = createPeers({
    peers: () => [{ id: 'b', host: '127.0.0.1', port, ready: true }],
    fetch,
    now: () => AT + 50,
    after: (call, ms) => {
      const timer = { call, ms, cancelled: false };
      timers.push(timer);
      return () => {
        timer.cancelled = true;
      };
    },
  });
  return peers;
}

/** Lets the time of all timers of so many milliseconds come. */
function elapse(ms: number): void {
  const due = timers.filter((one) => one.ms === ms && !one.cancelled);
  for (const one of due) one.cancelled = true;
  for (const one of due) one.call();
}

test('reads the report of a peer, with its time', async () => {
  const heard = begin();
  await heard.ask();
  expect(asked).toEqual(['/internal/load']);
  expect(heard.heard()).toMatchObject([{ peer: { id: 'b' }, heardAt: AT + 50, load: LOAD }]);
});

test('polls every second, and not after its end', async () => {
  const heard = begin();
  await heard.ask();
  elapse(ASK_MS);
  await until(() => asked.length === 2, 'the second question');
  await heard.ask();
  heard.stop();
  elapse(ASK_MS);
  expect(timers.filter(({ ms, cancelled }) => ms === ASK_MS && !cancelled)).toEqual([]);
});

const said = (more: object) => JSON.stringify({ ...GOOD, ...more });

test.each<[string, { status?: number; body: string }]>([
  ['a page of another server', { body: '<html>' }],
  ['an error', { status: 500, body: JSON.stringify(GOOD) }],
  ['a way elsewhere', { status: 302, body: '' }],
  ['another version', { body: said({ version: 2 }) }],
  ['another router, at an address that was given on', { body: said({ router: 'c' }) }],
  ['a negative number', { body: said({ arms: [{ ...GOOD.arms[0], in_flight: -1 }] }) }],
  ['nothing of its arms', { body: said({ arms: undefined }) }],
])('ignores an answer with %s', async (_, wrong) => {
  answer = wrong;
  const heard = begin();
  await heard.ask();
  expect(heard.heard()).toEqual([{ peer: expect.objectContaining({ id: 'b' }) as object }]);
});

test('keeps the last report, with its age, while a peer is silent', async () => {
  const heard = begin();
  await heard.ask();
  answer = { status: 500, body: '' };
  await heard.ask();
  expect(heard.heard()?.[0]).toMatchObject({ heardAt: AT + 50, load: { router: 'b' } });
});

test('polls a slow peer once at a time, and does not wait for it', async () => {
  answer = undefined;
  const heard = begin();
  await until(() => asked.length === 1, 'the question');
  elapse(ASK_MS);
  expect(asked).toHaveLength(1);
  const asking = heard.ask();
  elapse(ANSWER_MS);
  await asking;
  expect(heard.heard()?.[0]?.load).toBeUndefined();
});

test('ignores a field that a newer router adds', () => {
  const newer = { ...GOOD, more: 1, arms: GOOD.arms.map((one) => ({ ...one, more: 1 })) };
  expect(parseLoad(newer)).toEqual(LOAD);
});
