import type { AttemptResult, BrokenAnswer } from '../../core/routing/outcome';
import type { ReplicaRoute } from '../../core/routing/table';
import type { UpstreamRequest, CallOptions, UpstreamContext } from './call';
import { UpstreamCall } from './call';
import { failureOf } from './failure';
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

/** Routes whose bytes are relayed unchanged where the server supports the protocol. */
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

/** Routes are cached by path, so the same objects come again. */
const paths = new WeakMap<ProxiedRoute, string>();

/** The path on the server, without the version: that has chosen the arm. */
export function targetOf(route: ProxiedRoute, query: string): string {
  let path = paths.get(route);
  if (path === undefined) {
    path = pathOf(route);
    paths.set(route, path);
  }
  return path + query;
}

/** A relayed body and the copy kept of it; undefined when it was too large to keep. */
export interface BodyCopy {
  readonly source: BodySource;
  readonly bytes: () => Buffer | undefined;
}

/** What is relayed, and whether the response is copied. */
export interface RelayOptions {
  readonly target: string;
  readonly body: Buffer | undefined;
  /** Instead of a body. */
  readonly upload?: Upload | undefined;
  readonly tracing: Tracing;
  readonly collect?: ((source: BodySource) => BodyCopy) | undefined;
}

/** A response that reached the caller completely. */
export interface RelayedResponse {
  readonly status: number;
  readonly fields: Fields;
  /** Undefined when the body was not copied, or was too large for that. */
  readonly body: Buffer | undefined;
}

/** How a relayed call ended. One of the two is called, once. */
export interface RelayCallbacks {
  /** Undefined: the response was cut off, which the caller has seen. */
  readonly relayed?: ((relayed: RelayedResponse | undefined) => void) | undefined;
  /** Refusal or CallerGone: nothing was written to the caller yet. */
  readonly failed: (error: unknown) => void;
}

/** A call whose request and response bytes pass unchanged. */
export class RelayedCall extends UpstreamCall {
  protected request: UpstreamRequest;
  private replica: ReplicaRoute | undefined;
  private answer: HttpResponse | undefined;
  private report: AttemptCallbacks | undefined;
  private copy: BodyCopy | undefined;

  constructor(
    context: UpstreamContext,
    base: CallOptions,
    private readonly exchange: Exchange,
    private readonly relayOptions: RelayOptions,
    protected readonly callbacks: RelayCallbacks,
  ) {
    const { target, body, upload } = relayOptions;
    const { replayBytes } = base.model.inference;
    super(context, base, upload === undefined && (body?.length ?? 0) <= replayBytes, upload);
    this.request = { method: exchange.method, target, body };
  }

  attempt(attempt: Attempt, report: AttemptCallbacks): void {
    this.replica = attempt.replica;
    this.report = report;
    this.send(attempt, this.request, this);
  }

  onRequestSent(): void {
    this.report?.delivered?.();
  }

  onResponse(answer: HttpResponse): void {
    this.answer = answer;
    this.report?.settled({ kind: 'answered', status: answer.status });
  }

  onFailure(why: ExchangeFailure): void {
    this.report?.settled(why);
  }

  discard(): void {
    const { answer, report } = this;
    if (answer === undefined) return;
    this.answer = undefined;
    answer.body.destroy();
    report?.finished({ kind: 'answered', status: answer.status });
  }

  onResult(result: JobResult): void {
    const { answer, replica, exchange, callbacks, relayOptions } = this;
    if (result.kind !== 'answered') {
      return callbacks.failed(failureOf(result, this.model.id));
    }
    if (answer === undefined || replica === undefined) {
      return callbacks.failed(new Error('a job was answered without an attempt'));
    }
    const { status, fields, body } = answer;
    const origin = { arm: result.arm.name, version: replica.version };
    const headers = callerHeaders(fields, relayOptions.tracing, origin, this.context.rules);
    exchange.account?.onRouted(origin.arm, origin.version);
    this.copy = relayOptions.collect?.(body);
    const { arm, tries } = result;
    exchange.stream(status, headers, this.copy?.source ?? body, (how, why) => {
      this.sent(how, answer, why);
      if (how !== 'unsent' || why === undefined || why.kind === 'aborted') return;
      callbacks.failed(failureOf({ kind: 'failed', arm, result: why, tries }, this.model.id));
    });
  }

  private sent(
    how: DeliveryOutcome,
    { status, fields }: HttpResponse,
    why: ExchangeFailure | undefined,
  ): void {
    const { report, callbacks, copy } = this;
    const end = how === 'unsent' && why !== undefined ? why : endOf(how, status);
    report?.finished(end, brokenOf(how, fields));
    if (callbacks.relayed === undefined || how === 'unsent') return;
    callbacks.relayed(how === 'complete' ? { status, fields, body: copy?.bytes() } : undefined);
  }
}

function endOf(how: DeliveryOutcome, status: number): AttemptResult {
  if (how === 'complete') return { kind: 'answered', status };
  if (how === 'caller_gone') return { kind: 'aborted' };
  return { kind: 'reset', message: 'the answer was cut off' };
}

function brokenOf(how: DeliveryOutcome, fields: Fields): BrokenAnswer | undefined {
  if (how === 'complete' || how === 'unsent') return undefined;
  const isStream = fields.get('content-type')?.startsWith('text/event-stream') === true;
  return {
    by: how === 'caller_gone' ? 'caller' : 'server',
    kind: isStream ? 'stream' : 'answer',
  };
}

/** Relays a request to a replica and the response to the caller, byte by byte. */
export function relay(
  context: UpstreamContext,
  base: CallOptions,
  exchange: Exchange,
  relayOptions: RelayOptions,
  callbacks: RelayCallbacks,
): void {
  context.dispatcher.start(new RelayedCall(context, base, exchange, relayOptions, callbacks));
}
