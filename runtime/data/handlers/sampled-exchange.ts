import type { Payload, PayloadBody, PayloadSampler } from '../../audit';
import { BodyBuffer } from '../http/buffers/body-buffer';
import type {
  BodySink,
  BodySource,
  DeliveryOutcome,
  Exchange,
  ExchangeFailure,
  HeaderText,
  RequestPayload,
} from '../http/exchange';
import type { LinePayload } from './audit-line';

// What the record gets of the payload of a sampled request. Requests that are not sampled do not
// come here.

const IS_ENCODED = /^content-encoding:(?![ \t]*identity[ \t]*\r)/im;
const IS_EVENTS = /^content-type:[ \t]*text\/event-stream/im;
const HAS_TENSORS = /^inference-header-content-length:/im;
/** The first status of an error (RFC 9110, 15). */
const FIRST_ERROR = 400;

/** Bodies of one request, kept until its line is written. */
class SampledPayload implements Payload, LinePayload {
  request: PayloadBody | undefined;
  answer: PayloadBody | undefined;
  private isOver = false;

  constructor(private readonly sampler: PayloadSampler) {}

  get maxBytes(): number {
    return this.sampler.maxBytes;
  }

  /** A copy: the original belongs to others, who may use its memory again. Undefined: of nothing. */
  copied(body: Buffer | string): PayloadBody | undefined {
    if (body.length === 0) return undefined;
    const size = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    if (size > this.maxBytes) return { omitted: 'too_large' };
    return { bytes: typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body) };
  }

  /** Why an answer is not recorded, by its head. */
  omissionOf(status: number, headers: HeaderText): PayloadBody | undefined {
    if (status >= FIRST_ERROR && this.sampler.omitsErrors) return { omitted: 'error' };
    if (IS_ENCODED.test(headers)) return { omitted: 'compressed' };
    if (IS_EVENTS.test(headers)) return { omitted: 'stream' };
    return HAS_TENSORS.test(headers) ? { omitted: 'binary' } : undefined;
  }

  /** The JSON for the line, once. */
  finish(model: string | undefined): string | undefined {
    if (this.isOver) return undefined;
    this.isOver = true;
    this.sampler.end();
    const text = this.sampler.write(model, this);
    this.request = undefined;
    this.answer = undefined;
    return text;
  }
}

/** Copies the pieces of an answer on their way to the caller. */
class CopyingSink implements BodySink {
  private readonly pieces = new BodyBuffer();
  private bytes = 0;

  constructor(
    private readonly sink: BodySink,
    private readonly payload: SampledPayload,
  ) {}

  data(piece: Buffer): boolean {
    this.bytes += piece.length;
    if (this.bytes <= this.payload.maxBytes) this.pieces.copy(piece);
    else this.pieces.clear();
    return this.sink.data(piece);
  }

  end(): void {
    const isWhole = this.bytes <= this.payload.maxBytes;
    // Before the end is passed on: the line is written then.
    this.payload.answer = isWhole ? { bytes: this.pieces.take() } : { omitted: 'too_large' };
    this.sink.end();
  }

  fail(why: ExchangeFailure): void {
    this.pieces.clear();
    this.sink.fail(why);
  }
}

function copying(source: BodySource, payload: SampledPayload): BodySource {
  return {
    flow: (sink) => source.flow(new CopyingSink(sink, payload)),
    resume: () => source.resume(),
    destroy: () => source.destroy(),
  };
}

/** An exchange whose bodies are copied for the record. */
class SampledExchange implements Exchange {
  readonly method: Exchange['method'];
  readonly path: Exchange['path'];
  readonly query: Exchange['query'];
  readonly fields: Exchange['fields'];
  readonly remoteAddress: Exchange['remoteAddress'];
  readonly secure: Exchange['secure'];
  readonly certificate: Exchange['certificate'];
  readonly signal: Exchange['signal'];
  readonly held: Exchange['held'];
  /** Until then nothing else can be answered. */
  private isStreaming = false;

  constructor(
    private readonly inner: Exchange,
    private readonly payload: SampledPayload,
  ) {
    this.method = inner.method;
    this.path = inner.path;
    this.query = inner.query;
    this.fields = inner.fields;
    this.remoteAddress = inner.remoteAddress;
    this.secure = inner.secure;
    this.certificate = inner.certificate;
    this.signal = inner.signal;
    this.held = inner.held;
  }

  get identity(): Exchange['identity'] {
    return this.inner.identity;
  }

  set identity(identity: Exchange['identity']) {
    this.inner.identity = identity;
  }

  get account(): Exchange['account'] {
    return this.inner.account;
  }

  set account(account: Exchange['account']) {
    this.inner.account = account;
  }

  body(limit: number): Buffer | Promise<Buffer> {
    const whole = this.inner.body(limit);
    return whole instanceof Promise ? whole.then((body) => this.kept(body)) : this.kept(whole);
  }

  upload(whole: number, limit: number): RequestPayload | Promise<RequestPayload> {
    const upload = this.inner.upload(whole, limit);
    return upload instanceof Promise ? upload.then((body) => this.kept(body)) : this.kept(upload);
  }

  private kept<Body extends RequestPayload>(body: Body): Body {
    const { payload, fields } = this;
    const encoding = fields.get('content-encoding') ?? 'identity';
    if (encoding !== 'identity') payload.request = { omitted: 'compressed' };
    else if (fields.get('inference-header-content-length') !== undefined)
      payload.request = { omitted: 'binary' };
    else if (!Buffer.isBuffer(body)) payload.request = { omitted: 'too_large' };
    else payload.request = payload.copied(body);
    return body;
  }

  answer(status: number, headers: HeaderText, body: Buffer | string): void {
    const { payload, isStreaming } = this;
    if (!isStreaming) payload.answer = payload.omissionOf(status, headers) ?? payload.copied(body);
    this.inner.answer(status, headers, body);
  }

  stream(
    status: number,
    headers: HeaderText,
    source: BodySource,
    sent: (how: DeliveryOutcome, why?: ExchangeFailure) => void,
  ): void {
    const { payload } = this;
    const omission = payload.omissionOf(status, headers);
    payload.answer = omission ?? { omitted: 'incomplete' };
    const own = omission === undefined ? copying(source, payload) : source;
    this.isStreaming = true;
    this.inner.stream(status, headers, own, (how, why) => {
      this.isStreaming = false;
      sent(how, why);
    });
  }
}

/** Of a request whose bodies are not kept. */
const without = (sampler: PayloadSampler, payload: Payload): LinePayload => ({
  finish: (model) => sampler.write(model, payload),
});

/** The exchange, or one that copies its bodies for this line of the record. */
export function sampledExchange(
  sampler: PayloadSampler,
  exchange: Exchange,
  line: { payload?: LinePayload | undefined },
): Exchange {
  switch (sampler.begin()) {
    case 'not_sampled':
      return exchange;
    case 'busy': {
      const busy = { omitted: 'busy' } as const;
      line.payload = without(sampler, { request: busy, answer: busy });
      return exchange;
    }
    case 'sampled': {
      const payload = new SampledPayload(sampler);
      line.payload = payload;
      return new SampledExchange(exchange, payload);
    }
  }
}

/** For a call over gRPC: its messages are binary. */
export function binaryPayload(sampler: PayloadSampler): LinePayload | undefined {
  const begun = sampler.begin();
  if (begun === 'not_sampled') return undefined;
  if (begun === 'sampled') sampler.end();
  const binary = { omitted: 'binary' } as const;
  return without(sampler, { request: binary, answer: binary });
}
