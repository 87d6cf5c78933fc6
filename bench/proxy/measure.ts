import { setTimeout as sleep } from 'node:timers/promises';
import type { Size } from './bodies';
import { asked, askedNatively, askedToChat, modelOf } from './bodies';
import type { Asking, Measured } from './load';
import { closedLoop } from './load';
import type { Opened } from './others';
import { usage } from './process';

// Who is asked what, and what it cost.

export const CONNECTIONS = 32;
export const KEY = 'bench';
const SECONDS = 2;

export interface Target extends Asking {
  readonly name: string;
  readonly size: Size;
  /** The process whose CPU time counts; undefined: there is no proxy. */
  readonly pid: number | undefined;
}

export interface Result extends Measured {
  /** Microseconds of CPU for a request. */
  readonly cpu: number;
  readonly megabytes: number;
}

const HEADERS = { 'content-type': 'application/json', 'x-api-key': KEY, 'x-user-id': 'patient-17' };

export const passing = (size: Size) => ({
  size,
  path: `/v2/models/${modelOf(size)}/infer`,
  body: asked(size),
  headers: HEADERS,
});

export const native = (size: Size) => ({
  size,
  path: `/api/v1/models/${modelOf(size)}/inference`,
  body: askedNatively(size),
  headers: HEADERS,
});

/** Portkey speaks OpenAI only, and routes by headers to the host it is told. */
export function toPortkey({ pid, port }: Opened, size: Size, backend: number): Target {
  const headers = {
    'content-type': 'application/json',
    authorization: 'Bearer bench',
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${backend}/v2/models/${modelOf(size)}`,
  };
  const asking = { path: '/v1/chat/completions', body: askedToChat(size), headers };
  return { name: 'Portkey gateway, OpenAI', pid, port, size, ...asking };
}

/** CPU time spent on abandoned requests would count against the next one. */
const QUIET_PART = 0.05;
const LOOK_MS = 200;
const MAX_LOOKS = 50;

async function untilQuiet(pid: number): Promise<void> {
  let { seconds } = usage(pid);
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    await sleep(LOOK_MS);
    const now = usage(pid).seconds;
    if ((now - seconds) * 1000 < QUIET_PART * LOOK_MS) return;
    seconds = now;
  }
}

export async function measure(target: Target, work: string): Promise<Result> {
  const { pid } = target;
  const before = pid === undefined ? undefined : usage(pid);
  const measured = await closedLoop(target, CONNECTIONS, SECONDS, work);
  const after = pid === undefined ? undefined : usage(pid);
  if (pid !== undefined) await untilQuiet(pid);
  const spent = (after?.seconds ?? 0) - (before?.seconds ?? 0);
  return { ...measured, cpu: (spent * 1e6) / measured.requests, megabytes: after?.megabytes ?? 0 };
}

export type Results = readonly (readonly [Target, readonly Result[]])[];

/** Interleaved: in each run every target has its turn, so that all see the same machine. */
export async function measureAll(
  targets: readonly Target[],
  runs: number,
  work: string,
): Promise<Results> {
  const results = targets.map((target) => [target, [] as Result[]] as const);
  for (const target of targets) await measure(target, work);
  for (let run = 0; run < runs; run += 1) {
    for (const [target, found] of results) found.push(await measure(target, work));
  }
  return results;
}
