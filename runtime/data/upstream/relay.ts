import type { AttemptResult } from '../../core/routing/outcome';
import type { ReplicaRoute } from '../../core/routing/table';
import type { UpstreamRequest, CallOptions, UpstreamContext } from './call';
import { UpstreamCall, failureOf } from './call';
import type {
  HttpResponse,
  ExchangeFailure,
  Exchange,
  DeliveryOutcome,
  BodySource,
  Upload,
} from '../http/exchange';
import type { Tracing } from './headers';
import { callerHeaders } from './headers';
import type { Fields } from '../http/fields';
import type { Attempt, JobResult, AttemptCallbacks } from '../dispatch/job';
import type { Route } from '../routing/paths';

/** Routes whose bytes pass untouched. */
export type ProxiedRoute = Extract<Route, { kind: 'v2' | 'v1' | 'openai' }>;

function pathOf(route: ProxiedRoute): string {
  if (route.kind === 'openai') return `/v1/${route.call}`;
  const id = encodeURIComponent(route.model);
  if (route.kind === 'v1') {
    if (route.call === 'status') return `/v1/models/${id}`;
    if (route.call === 'metadata') return `/v1/models/${id}/metadata`;
    return `/v1/models/${id}:${route.call}`;
  }
  return `/v2/models/${id}${route.call === 'metadata' ? '' : `/${route.call}`}`;
}

/** Routes are known by their paths, so the same ones come again. */
const paths = new WeakMap<ProxiedRoute, string>();

/** The path on the server; the version has chosen the arm and is not the server's business. */
export function targetOf(route: ProxiedRoute, query: string): string {
  let path = paths.get(route);
  if (path === undefined) {
    path = pathOf(route);
    paths.set(route, path);
  }
  return path + query;
}

/** A body on its way, and what of it was kept: undefined when it was too large for that. */
export interface BodyCopy {
  readonly source: BodySource;
  readonly bytes: () => Buffer | undefined;
}

/** What is passed on, and whether the answer is to be remembered. */
export interface RelayOptions {
  readonly target: string;
  readonly body: Buffer | undefined;
  /** Instead of a body. */
  readonly upload?: Upload | undefined;
  readonly tracing: Tracing;
  readonly collect?: ((source: BodySource) => BodyCopy) | undefined;
}

/** An answer that reached the caller whole. */
export interface RelayedResponse {
  readonly status: number;
  readonly fields: Fields;
  /** Undefined when it was not to be remembered, or was too large for that. */
  readonly body: Buffer | undefined;
}

/** Who is told how a call that was passed on ended. One of the two is called, once. */
export interface RelayCallbacks {
  /** Undefined: the answer did not come through, and the caller knows. */
  readonly passed?: ((passed: RelayedResponse | undefined) => void) | undefined;
  /** Refusal, CallerGone: the caller has nothing yet. */
  readonly failed: (error: unknown) => void;
}

/** A call whose bytes pass as they are, both ways. */
export class RelayedCall extends UpstreamCall {
  protected asked: UpstreamRequest;
  private replica: ReplicaRoute | undefined;
  private answer: HttpResponse | undefined;
  private tried: AttemptCallbacks | undefined;
  private copy: BodyCopy | undefined;

  constructor(
    calling: UpstreamContext,
    base: CallOptions,
    private readonly exchange: Exchange,
    private readonly forwarding: RelayOptions,
    protected readonly told: RelayCallbacks,
  ) {
    const { target, body, upload } = forwarding;
    const { replayBytes } = base.model.inference;
    super(calling, base, upload === undefined && (body?.length ?? 0) <= replayBytes, upload);
    this.asked = { method: exchange.method, target, body };
  }

  attempt(one: Attempt, tried: AttemptCallbacks): void {
    this.replica = one.replica;
    this.tried = tried;
    this.send(one, this.asked, this);
  }

  onRequestSent(): void {
    this.tried?.delivered?.();
  }

  onResponse(answer: HttpResponse): void {
    this.answer = answer;
    this.tried?.settled({ kind: 'answered', status: answer.status });
  }

  onFailure(why: ExchangeFailure): void {
    this.tried?.settled(why);
  }

  discard(): void {
    const { answer, tried } = this;
    if (answer === undefined) return;
    this.answer = undefined;
    answer.body.destroy();
    tried?.finished({ kind: 'answered', status: answer.status });
  }

  onResult(result: JobResult): void {
    const { answer, replica, exchange, told, forwarding, upload, refusal } = this;
    if (result.kind !== 'answered') {
      const isGone = result.kind === 'failed' && result.result.kind === 'aborted';
      const fault = isGone ? (refusal ?? upload?.fault) : undefined;
      return told.failed(fault ?? failureOf(result, this.model.id));
    }
    if (answer === undefined || replica === undefined) {
      return told.failed(new Error('a job was answered without a try'));
    }
    const { status, fields, body } = answer;
    const origin = { arm: result.arm.name, version: replica.version };
    const headers = callerHeaders(fields, forwarding.tracing, origin, this.calling.rules);
    exchange.account?.onRouted(origin.arm, origin.version);
    this.copy = forwarding.collect?.(body);
    const { arm, tries } = result;
    exchange.stream(status, headers, this.copy?.source ?? body, (how, why) => {
      this.sent(how, answer, why);
      if (how !== 'unsent' || why === undefined || why.kind === 'aborted') return;
      told.failed(failureOf({ kind: 'failed', arm, result: why, tries }, this.model.id));
    });
  }

  private sent(
    how: DeliveryOutcome,
    { status, fields }: HttpResponse,
    why: ExchangeFailure | undefined,
  ): void {
    const { tried, told, copy } = this;
    tried?.finished(how === 'unsent' && why !== undefined ? why : endOf(how, status));
    if (told.passed === undefined || how === 'unsent') return;
    told.passed(how === 'complete' ? { status, fields, body: copy?.bytes() } : undefined);
  }
}

function endOf(how: DeliveryOutcome, status: number): AttemptResult {
  if (how === 'complete') return { kind: 'answered', status };
  if (how === 'caller_gone') return { kind: 'aborted' };
  return { kind: 'reset', message: 'the answer was cut off' };
}

/** Passes a request on and its answer back, byte by byte. */
export function relay(
  calling: UpstreamContext,
  base: CallOptions,
  exchange: Exchange,
  forwarding: RelayOptions,
  told: RelayCallbacks,
): void {
  calling.dispatcher.start(new RelayedCall(calling, base, exchange, forwarding, told));
}
