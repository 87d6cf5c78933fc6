import type { TryResult } from '../core/outcome';
import type { ArmRoute, ModelRoute, Replica } from '../core/table';
import type { Protocol } from '../../lib/spec';
import type { Asked, CallBase, Calling } from './calling';
import { Call, failureOf } from './calling';
import { Refusal } from './errors';
import type { Answered, Broken, Exchange, Sent, Source } from './exchange';
import type { Tracing } from './headers';
import { callerHeaders } from './headers';
import type { Fields } from './http/fields';
import type { Attempt, JobResult, Tried } from './job';
import type { Route } from './paths';

/** Routes whose bytes pass untouched. */
export type Passing = Extract<Route, { kind: 'v2' | 'v1' | 'openai' }>;

type V1Call = Extract<Route, { kind: 'v1' }>['call'];

/** Servers whose V1 we know; others get every call and answer for themselves. */
const V1_CALLS: Readonly<Partial<Record<ArmRoute['server']['kind'], readonly V1Call[]>>> = {
  onnx: ['predict', 'status', 'metadata'],
  'tensorflow-serving': ['predict', 'classify', 'regress', 'status', 'metadata'],
};

const WANTED: Readonly<Record<Passing['kind'], readonly Protocol[]>> = {
  v2: ['v2'],
  v1: ['v1', 'tfs'],
  openai: ['openai'],
};

/** Does the server know this kind of call? The built-in one speaks V1 beside V2. */
function knows({ protocol, server }: ArmRoute, kind: Passing['kind']): boolean {
  return WANTED[kind].includes(protocol) || (kind === 'v1' && server.kind === 'onnx');
}

/** Does the server understand this very call? */
export function speaks(arm: ArmRoute, route: Passing): boolean {
  if (!knows(arm, route.kind)) return false;
  return route.kind !== 'v1' || V1_CALLS[arm.server.kind]?.includes(route.call) !== false;
}

const V1_TEXT = (id: string): Readonly<Record<V1Call, string>> => ({
  predict: `POST /v1/models/${id}:predict`,
  classify: `POST /v1/models/${id}:classify`,
  regress: `POST /v1/models/${id}:regress`,
  explain: `POST /v1/models/${id}:explain`,
  status: `GET /v1/models/${id}`,
  metadata: `GET /v1/models/${id}/metadata`,
});

const CALL_OF: Readonly<Record<Protocol, string>> = {
  native: 'POST /api/v1/models/{id}/inference',
  v2: 'POST /v2/models/{id}/infer',
  v1: 'POST /v1/models/{id}:predict',
  tfs: 'POST /v1/models/{id}:predict',
  openai: 'POST /openai/v1/chat/completions',
};

/** @throws Refusal when no arm that may be chosen understands the call */
export function checkSpoken(model: ModelRoute, route: Passing, named?: string): void {
  const arms = [...model.arms.values()].filter(({ name }) => (named ?? name) === name);
  if (arms.some((arm) => speaks(arm, route))) return;
  const arm = arms.find((one) => knows(one, route.kind));
  if (arm !== undefined && route.kind === 'v1') {
    const { server } = arm;
    const texts = V1_TEXT(model.id);
    const calls = (V1_CALLS[server.kind] ?? []).map((call) => texts[call]).join(', ');
    throw new Refusal(
      'INVALID_REQUEST',
      `model ${model.id} runs on ${server.kind}, which has no ${route.call}; it has ${calls}`,
    );
  }
  const protocol = arms[0]?.protocol ?? 'native';
  throw new Refusal(
    'INVALID_REQUEST',
    `model ${model.id} does not speak ${route.kind}, it speaks ${protocol}; call ${CALL_OF[protocol].replace('{id}', model.id)}`,
  );
}

/** The path on the server; the version has chosen the arm and is not the server's business. */
export function targetOf(route: Passing, query: string): string {
  if (route.kind === 'openai') return `/v1/${route.call}${query}`;
  const id = encodeURIComponent(route.model);
  if (route.kind === 'v1') {
    if (route.call === 'status') return `/v1/models/${id}${query}`;
    if (route.call === 'metadata') return `/v1/models/${id}/metadata${query}`;
    return `/v1/models/${id}:${route.call}${query}`;
  }
  const call = route.call === 'metadata' ? '' : `/${route.call}`;
  return `/v2/models/${id}${call}${query}`;
}

/** A body on its way, and what of it was kept: undefined when it was too large for that. */
export interface Collected {
  readonly source: Source;
  readonly bytes: () => Buffer | undefined;
}

/** What is passed on, and whether the answer is to be remembered. */
export interface Forwarding {
  readonly target: string;
  readonly body: Buffer | undefined;
  readonly tracing: Tracing;
  readonly collect?: ((source: Source) => Collected) | undefined;
}

/** An answer that reached the caller whole. */
export interface Passed {
  readonly status: number;
  readonly fields: Fields;
  /** Undefined when it was not to be remembered, or was too large for that. */
  readonly body: Buffer | undefined;
}

/** Who is told how a call that was passed on ended. One of the two is called, once. */
export interface Forwarded {
  /** Undefined: the answer did not come through, and the caller knows. */
  readonly passed?: ((passed: Passed | undefined) => void) | undefined;
  /** Refusal, CallerGone: the caller has nothing yet. */
  readonly failed: (error: unknown) => void;
}

/** A call whose bytes pass as they are, both ways. */
class Passage extends Call {
  private asked: Asked;
  private replica: Replica | undefined;
  private answer: Answered | undefined;
  private tried: Tried | undefined;
  private copy: Collected | undefined;

  constructor(
    calling: Calling,
    base: CallBase,
    private readonly exchange: Exchange,
    private readonly forwarding: Forwarding,
    private readonly told: Forwarded,
  ) {
    const { target, body } = forwarding;
    super(calling, base, (body?.length ?? 0) <= base.model.inference.replayBytes);
    this.asked = { method: exchange.method, target, body };
  }

  attempt(one: Attempt, tried: Tried): void {
    this.replica = one.replica;
    this.tried = tried;
    this.send(one, this.asked, this);
  }

  answered(answer: Answered): void {
    this.answer = answer;
    this.tried?.settled({ kind: 'answered', status: answer.status });
  }

  broken(why: Broken): void {
    this.tried?.settled(why);
  }

  discard(): void {
    const { answer, tried } = this;
    if (answer === undefined) return;
    this.answer = undefined;
    answer.body.destroy();
    tried?.finished({ kind: 'answered', status: answer.status });
  }

  over(result: JobResult): void {
    const { answer, replica, exchange, told, forwarding } = this;
    if (result.kind !== 'answered') return told.failed(failureOf(result, this.model.id));
    if (answer === undefined || replica === undefined) {
      return told.failed(new Error('a job was answered without a try'));
    }
    const { status, fields, body } = answer;
    const origin = { arm: result.arm.name, version: replica.version };
    const headers = callerHeaders(fields, forwarding.tracing, origin);
    exchange.account?.answering(origin.arm, origin.version);
    this.copy = forwarding.collect?.(body);
    exchange.stream(status, headers, this.copy?.source ?? body, (how) => this.sent(how, answer));
  }

  private sent(how: Sent, { status, fields }: Answered): void {
    const { tried, told, copy } = this;
    tried?.finished(endOf(how, status));
    if (told.passed === undefined) return;
    told.passed(how === 'complete' ? { status, fields, body: copy?.bytes() } : undefined);
  }
}

function endOf(how: Sent, status: number): TryResult {
  if (how === 'complete') return { kind: 'answered', status };
  if (how === 'caller_gone') return { kind: 'aborted' };
  return { kind: 'reset', message: 'the answer was cut off' };
}

/** Passes a request on and its answer back, byte by byte. */
export function forward(
  calling: Calling,
  base: CallBase,
  exchange: Exchange,
  forwarding: Forwarding,
  told: Forwarded,
): void {
  calling.dispatcher.start(new Passage(calling, base, exchange, forwarding, told));
}
