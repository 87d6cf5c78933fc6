import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf } from './shapes';

// A process that sends: what it does with its own event loop is not taken for the service's.

export type SenderOrder =
  | { readonly kind: 'shape'; readonly path: string; readonly call: string; readonly shape: string }
  | { readonly kind: 'small'; readonly path: string; readonly text: string }
  | { readonly kind: 'stop half-way' }
  | { readonly kind: 'call until told'; readonly path: string };

/** Statuses, or, of one that calls until it is told, milliseconds. */
export type SenderReport = readonly number[];

const AT_A_TIME = 4;
const STOPPED = 60;
const MIB = 1024 * 1024;
const port = Number(process.argv[2]);
let over = new AbortController();

function post(path: string, body: Buffer, agent?: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent });
    sent.on('response', (got) => got.resume().on('end', () => resolve(got.statusCode ?? 0)));
    sent.on('error', () => resolve(0));
    sent.end(body);
  });
}

const together = (path: string, body: Buffer): Promise<SenderReport> =>
  Promise.all(Array.from({ length: AT_A_TIME }, () => post(path, body)));

let made: { readonly name: string; readonly body: Buffer } | undefined;

/** Made once: to make it again takes as long as the service needs for it. */
function madeBody(call: string, shape: string): Buffer {
  const name = `${call}, ${shape}`;
  if (made?.name !== name) made = { name, body: bodyOf(call, shape) };
  return made.body;
}

async function stopHalfWay(): Promise<SenderReport> {
  const sockets = Array.from({ length: STOPPED }, () => connect(port, '127.0.0.1'));
  const head = `POST /api/v1/models/echo/inference HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * MIB}\r\n\r\n`;
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.write(head);
    socket.write(Buffer.alloc(9 * MIB, 32));
  }
  await sleep(3000);
  for (const socket of sockets) socket.destroy();
  return [];
}

const CALLERS = 4;

/** Their address is another one: their share of the memory is their own. */
async function callUntilTold(path: string): Promise<SenderReport> {
  const agent = new Agent({ keepAlive: true, localAddress: '127.0.0.2' });
  const body = Buffer.from('{"input_data":{"x":1}}');
  const times: number[] = [];
  over = new AbortController();
  const { signal } = over;
  const call = async (): Promise<void> => {
    while (!signal.aborted) {
      const began = performance.now();
      const status = await post(path, body, agent);
      // A refusal is not an answer, however fast.
      times.push(status === 200 ? performance.now() - began : Infinity);
      await sleep(2);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, call));
  agent.destroy();
  return times;
}

function obey(order: SenderOrder): Promise<SenderReport> {
  if (order.kind === 'shape') return together(order.path, madeBody(order.call, order.shape));
  if (order.kind === 'small') return together(order.path, Buffer.from(order.text));
  if (order.kind === 'stop half-way') return stopHalfWay();
  return callUntilTold(order.path);
}

process.on('message', (order: SenderOrder | 'over') => {
  if (order === 'over') over.abort();
  else void obey(order).then((report) => process.send?.(report));
});
