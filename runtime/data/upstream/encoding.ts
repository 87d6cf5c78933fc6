import type { ModelRoute } from '../../core/routing/table';
import { HEAD_LENGTH } from '../../shared/binary';
import type { Asked, CallBase, Reply } from './call';
import type { Way, WayTo } from './transcoded-call';
import type { HeaderText } from '../http/exchange';
import type { Passing } from './relay';
import { upstreamHeaders } from './headers';
import type { Inferring } from './infer';
import { answerText, checkUtf8, knowing, noAnswer, refusalOf } from './infer';
import { bufferOf, LargeCall } from './large-call';
import type { LargeThread } from '../thread/large-thread';
import { notOffered, speaks, translates } from '../routing/supported-calls';
import { bounded, inflated } from '../transcode/body-json';
import { isNativeCall } from '../transcode/openai-to-native';
import type { Said, Spoken } from '../transcode/transcoder';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import type { SourceText, SpokenTo } from '../transcode/large-task';
import { readable, spokenIn } from '../transcode/large-task';
import type { Plane, Request } from '../handlers/request';

// How a call of V1, V2 or OpenAI reaches an arm: as it is where the arm's server speaks that, else
// in the server's words.

/** A call with all that its ways need. */
export interface Phrased {
  readonly route: Passing;
  readonly base: CallBase;
  /** For servers that get it as it is. */
  readonly target: string;
  readonly raw: Buffer;
  /** Read when the first server needs it. @throws Refusal */
  readonly spoken: () => Promise<Spoken | LargeSpoken>;
  /** The same for an answer that is large. */
  readonly large: () => Promise<LargeCall>;
  /** Towards servers that get a body of ours. */
  readonly ownHeaders: () => HeaderText;
}

/** A call that is understood in the thread. */
export class LargeSpoken {
  constructor(
    readonly call: LargeCall,
    readonly items: number,
    readonly type: Spoken['type'],
  ) {}
}

/** What the call is, beside its body. */
function sourceOf(
  { clock }: Plane,
  { exchange, tracing }: Request,
  { id, inference }: ModelRoute,
  route: Passing,
): Omit<SourceText, 'id'> {
  const called = { id, maxBatchSize: inference.maxBatchSize };
  if (route.kind === 'v1') return { kind: 'v1', called };
  if (route.kind === 'v2') {
    return { kind: 'v2', called, jsonLength: exchange.fields.get(HEAD_LENGTH) };
  }
  if (!isNativeCall(route.call)) throw new Error(`${route.call} has no other words`);
  const created = Math.floor(clock.now() / 1000);
  const written = { id: tracing.requestId, created, model: id };
  return { kind: 'openai', called, call: route.call, written };
}

function plainOf(
  { limits }: Plane,
  { exchange }: Request,
  { inference }: ModelRoute,
  route: Passing,
  raw: Buffer,
): Promise<Buffer> {
  const limit = route.kind === 'openai' ? limits.openaiBytes : inference.maxBodyBytes;
  return inflated(raw, exchange.fields.get('content-encoding'), limit, exchange.held);
}

/** @throws Refusal when the body is not what its protocol says, or there is no other word for it */
async function spokenOf(
  thread: LargeThread,
  source: Omit<SourceText, 'id'>,
  body: Buffer,
): Promise<Spoken | LargeSpoken> {
  const { jsonLength } = source;
  const isMuch = body.length > LARGE_BYTES || (jsonLength === undefined ? isLarge(body) : false);
  if (!isMuch) return spokenIn(source, body);
  const call = new LargeCall(thread, source, body);
  const { items, type } = await call.check();
  return new LargeSpoken(call, items, type);
}

/** Computes what it gives once, and only when it is asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

export function phrased(
  plane: Plane,
  request: Request,
  route: Passing,
  base: CallBase,
  target: string,
  raw: Buffer,
): Phrased {
  const { thread } = plane.inferring;
  const plain = once(() => plainOf(plane, request, base.model, route, raw));
  const source = once(() => sourceOf(plane, request, base.model, route));
  const spoken = once(async () => spokenOf(thread, source(), await plain()));
  const large = once(async () => new LargeCall(thread, source(), await plain()));
  const ownHeaders = once(() => upstreamHeaders(request.exchange, request.tracing, plane, true));
  return { route, base, target, raw, spoken, large, ownHeaders };
}

/** @throws Refusal for the answer of a server that refuses */
export function checkAnswered(reply: Reply, model: string): void {
  if (reply.status >= 300) throw refusalOf(reply, model);
}

/** As it is, both ways. */
function straight({ base, target, raw }: Phrased): Way {
  const read = (reply: Reply): string => {
    checkAnswered(reply, base.model.id);
    return answerText(reply, base.model.id);
  };
  const asked = { method: 'POST', target, body: raw };
  return { asked, headers: base.headers, passes: () => true, read, type: 'application/json' };
}

/** An answer that is large, read in the thread. */
async function readLarge(
  { base: { model, held } }: Phrased,
  call: LargeCall,
  to: SpokenTo,
  reply: Reply,
): Promise<Buffer> {
  checkUtf8(reply, model.id);
  const told = await call.read(to, reply.body, reply.replica.version, held);
  if (told === undefined) throw noAnswer(model.id);
  return bufferOf(told.bytes);
}

/** The way of a call that is large. @throws Refusal */
async function largeWay(phrase: Phrased, spoken: LargeSpoken, to: SpokenTo): Promise<Way> {
  const { base, ownHeaders } = phrase;
  const { call, type } = spoken;
  const asked: Asked = { method: 'POST', ...(await call.say(to, base.held)) };
  const read = (reply: Reply): Promise<Buffer> => {
    checkAnswered(reply, base.model.id);
    return readLarge(phrase, call, to, reply);
  };
  return { asked, headers: ownHeaders(), passes: () => false, type, read };
}

function around(phrase: Phrased, { target, body, read }: Said, type: string, to: SpokenTo): Way {
  const { base, ownHeaders, large } = phrase;
  const { id } = base.model;
  return {
    asked: { method: 'POST', target, body: Buffer.from(body) },
    headers: ownHeaders(),
    passes: () => false,
    type,
    read: (reply) => {
      checkAnswered(reply, id);
      if (isLarge(reply.body)) {
        return large().then((call) => readLarge(phrase, call, to, reply));
      }
      const told = readable(() => read(answerText(reply, id), reply.replica.version));
      if (told === undefined) throw noAnswer(id);
      return told;
    },
  };
}

export function waysOf(inferring: Inferring, call: Phrased): WayTo {
  const { route, base } = call;
  const whole = straight(call);
  return (attempt) => {
    const { arm } = attempt;
    if (speaks(arm, route)) return whole;
    if (!translates(arm, route)) throw notOffered(base.model.id, arm, route);
    const say = (spoken: Spoken | LargeSpoken): Way | Promise<Way> =>
      knowing(inferring, base, attempt, (known) => {
        const to = { arm, known };
        if (spoken instanceof LargeSpoken) return largeWay(call, spoken, to);
        return around(
          call,
          bounded(() => spoken.say(arm, known)),
          spoken.type,
          to,
        );
      });
    return call.spoken().then(say);
  };
}
