import type { AttemptResult, BrokenAnswer } from '../../core/routing/outcome';
import type { Attempt, AttemptCallbacks, UnansweredResult } from '../dispatch/job';
import type { BodySource, DeliveryOutcome, Exchange, HttpResponse, Upload } from '../http/exchange';
import type { Fields } from '../http/fields';
import type { Route } from '../routing/paths';
import type {
  BufferedResponse,
  CallOptions,
  Encode,
  Receiver,
  UpstreamContext,
  UpstreamHead,
  UpstreamRequest,
} from './call';
import { UpstreamCall } from './call';
import { failureOf } from './failure';
import type { Tracing } from './tracing';
import { callerHeaders, ownHeaders, typeLine } from './headers';

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

export type ResponseBody = string | Buffer;

/** Puts a server's response into the caller's protocol. */
export interface ResponseDecoder {
  /** Responses that are relayed unchanged nevertheless; absent: none. */
  readonly isRelayed?: (head: UpstreamHead) => boolean;
  /** The body for the caller; asynchronous if it is large. @throws Refusal */
  readonly read: (reply: BufferedResponse) => ResponseBody | Promise<ResponseBody>;
  /** Its Content-Type. */
  readonly type: string;
}

/** The request for one arm, and how its response is decoded. */
export interface Encoding extends UpstreamRequest {
  /** Absent: responses are relayed unchanged. */
  readonly decoder?: ResponseDecoder | undefined;
}

/** A response that reached the caller completely. */
export interface RelayedResponse {
  readonly status: number;
  readonly fields: Fields;
  /** Undefined when the body was not copied, or was too large for that. */
  readonly body: Buffer | undefined;
}

export interface RelayOptions {
  readonly tracing: Tracing;
  /** The body comes while it is sent. */
  readonly upload?: Upload | undefined;
  /** Bytes that are kept for a second attempt. */
  readonly bytes: number;
  /** Copies a response while it is relayed. */
  readonly collect?: ((source: BodySource) => BodyCopy) | undefined;
  /** The caller has a successful response, relayed or decoded. */
  readonly onSent?: ((live: RelayedResponse | ResponseBody) => void) | undefined;
  /** Refusal or CallerGone: nothing was written to the caller yet. */
  readonly failed: (error: unknown) => void;
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

/** Passes responses on to the caller of an exchange, as they come or decoded. */
class Relay implements Receiver<Encoding> {
  constructor(
    private readonly context: UpstreamContext,
    private readonly base: CallOptions,
    private readonly exchange: Exchange,
    private readonly options: RelayOptions,
  ) {}

  isRelayed(head: UpstreamHead, { decoder }: Encoding): boolean {
    return decoder === undefined || decoder.isRelayed?.(head) === true;
  }

  relay(answer: HttpResponse, { arm, replica, number }: Attempt, report: AttemptCallbacks): void {
    const { context, exchange, options } = this;
    const { status, fields, body } = answer;
    const origin = { arm: arm.name, version: replica.version };
    const headers = callerHeaders(fields, options.tracing, origin, context.rules);
    exchange.account?.onRouted(origin.arm, origin.version);
    const copy = options.collect?.(body);
    exchange.stream(status, headers, copy?.source ?? body, (how, why) => {
      const end = how === 'unsent' && why !== undefined ? why : endOf(how, status);
      report.finished(end, brokenOf(how, fields));
      const isGood = how === 'complete' && status < 300;
      if (isGood) options.onSent?.({ status, fields, body: copy?.bytes() });
      if (how !== 'unsent' || why === undefined || why.kind === 'aborted') return;
      this.unanswered({ kind: 'failed', arm, result: why, tries: number });
    });
  }

  buffered(reply: BufferedResponse, { decoder }: Encoding): void {
    if (decoder === undefined) return;
    const { failed } = this.options;
    const send = (body: ResponseBody): void => this.send(reply, decoder.type, body);
    try {
      const body = decoder.read(reply);
      if (body instanceof Promise) body.then(send).catch(failed);
      else send(body);
    } catch (error) {
      failed(error);
    }
  }

  private send({ arm, replica }: BufferedResponse, type: string, body: ResponseBody): void {
    const { exchange, options } = this;
    const origin = { arm: arm.name, version: replica.version };
    exchange.account?.onRouted(origin.arm, origin.version);
    exchange.answer(200, typeLine(type) + ownHeaders(options.tracing, origin), body);
    options.onSent?.(body);
  }

  unanswered(result: UnansweredResult): void {
    this.options.failed(failureOf(result, this.base.model.id));
  }
}

/** Sends a call to the chosen arm, and its response to the caller: unchanged, or decoded. */
export function relay(
  context: UpstreamContext,
  base: CallOptions,
  exchange: Exchange,
  options: RelayOptions,
  encode: Encode<Encoding>,
): void {
  const { upload, bytes } = options;
  const replayable = upload === undefined && bytes <= base.model.inference.replayBytes;
  const receiver = new Relay(context, base, exchange, options);
  const call = new UpstreamCall(context, base, encode, receiver, replayable, upload);
  context.dispatcher.start(base, call);
}
