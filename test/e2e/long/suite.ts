import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../service';
import { call, load, until } from '../service';
import type { Ended } from './processes';
import type { Replica } from './replica';
import type { Router } from './router';

export interface Update {
  readonly router: Router;
  /** Its candidate `next` has no share yet, and its replica does not run. */
  readonly model: string;
  readonly path: string;
  readonly body: unknown;
  readonly old: Replica;
  readonly startNew: () => Promise<Replica>;
}

/**
 * Under load a new version starts, gets all the traffic, and the old one gets SIGTERM after its
 * last answer, as a pod does after its preStop.
 */
export async function update({ router, model, path, body, old, startNew }: Update) {
  const traffic = load(router.url + path, body, 40);
  await startNew();
  await router.arm(model, 'next', { ready: 1 });
  const share = { candidate: 'next', percent: 100 };
  await router.call('POST', `/api/v1/models/${model}/traffic`, share);
  await router.arm(model, 'next', { traffic: 100 });
  await traffic.settle();
  const ended = await old.end('SIGTERM');
  await router.arm(model, 'stable', { ready: 0 });
  const enough = traffic.sent() + 25;
  await until('more is sent', traffic.sent, (sent) => sent >= enough);
  const last = await router.call('POST', path, body);
  const arm = last.headers['x-ai-model-arm'];
  const { sent, failed } = await traffic.stop();
  return { ended, arm, sent, failed: [...new Set(failed)] };
}

export interface Drained {
  /** What came of a request that ran when the signal did. */
  readonly answer: Answer | undefined;
  readonly ended: Ended;
}

/** SIGTERM half a second into a request that takes two. */
export async function drain(replica: Replica, path: string, body: unknown): Promise<Drained> {
  const answer = call(replica.url + path, 'POST', body).catch(() => undefined);
  await sleep(500);
  const ended = await replica.end('SIGTERM');
  return { answer: await answer, ended };
}

/** A call with tensors as bytes behind the JSON (V2's binary data extension), answered the same way. */
export async function callBinary(
  url: string,
  tensor: { readonly name: string; readonly shape: readonly number[]; readonly data: Buffer },
  output: string,
): Promise<{
  readonly status: number;
  readonly text: string;
  readonly tail: Buffer;
}> {
  const { name, shape, data } = tensor;
  const head = JSON.stringify({
    inputs: [{ name, shape, datatype: 'FP32', parameters: { binary_data_size: data.length } }],
    outputs: [{ name: output, parameters: { binary_data: true } }],
  });
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(Buffer.byteLength(head)),
    },
    body: Buffer.concat([Buffer.from(head), data]),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const length = Number(response.headers.get('inference-header-content-length') ?? bytes.length);
  return {
    status: response.status,
    text: bytes.subarray(0, length).toString(),
    tail: bytes.subarray(length),
  };
}
