import type { ModelRoute } from '../../core/table';
import { HEAD_LENGTH } from '../../shared/binary';
import type { CallBase, Reply } from './calling';
import type { Way, WayTo } from './crossing';
import type { HeaderText } from '../exchange';
import type { Passing } from './forward';
import { upstreamHeaders } from '../headers';
import type { Inferring } from './infer';
import { answerText, knowing, noAnswer, refusalOf } from './infer';
import { notOffered, speaks, translates } from './offers';
import { readJson } from '../protocols/exact';
import { bodyText, bounded, inflated, parseObject, parseText } from '../protocols/json';
import { isNativeCall, parseOpenai } from '../protocols/openai-to-native';
import type { Said, Spoken } from '../protocols/spoken';
import { openaiSpoken, v1Spoken, v2Spoken } from '../protocols/spoken';
import { parseV1 } from '../protocols/v1-request';
import { parseV2 } from '../protocols/v2-request';
import type { Plane, Request } from '../request';

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
  readonly spoken: () => Spoken | Promise<Spoken>;
  /** Towards servers that get a body of ours. */
  readonly ownHeaders: () => HeaderText;
}

/** @throws Refusal when the body is not what its protocol says, or there is no other word for it */
async function spokenOf(
  { limits, clock }: Plane,
  { exchange, tracing }: Request,
  { id, inference }: ModelRoute,
  route: Passing,
  raw: Buffer,
): Promise<Spoken> {
  const { fields } = exchange;
  const limit = route.kind === 'openai' ? limits.openaiBytes : inference.maxBodyBytes;
  const body = await inflated(raw, fields.get('content-encoding'), limit, exchange.held);
  const called = { id, maxBatchSize: inference.maxBatchSize };
  return bounded(() => {
    if (route.kind === 'v1') return v1Spoken(called, parseV1(parseObject(body)));
    if (route.kind === 'v2') return v2Spoken(called, parseV2(body, fields.get(HEAD_LENGTH)));
    if (!isNativeCall(route.call)) throw new Error(`${route.call} has no other words`);
    const created = Math.floor(clock.now() / 1000);
    const written = { id: tracing.requestId, created, model: id };
    return openaiSpoken(
      called,
      parseOpenai(route.call, parseText(bodyText(body), readJson)),
      written,
    );
  });
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
  const spoken = once(() => spokenOf(plane, request, base.model, route, raw));
  const ownHeaders = once(() =>
    upstreamHeaders(request.exchange, request.tracing, plane.trust, true),
  );
  return { route, base, target, raw, spoken, ownHeaders };
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

/** Undefined for what is nested more deeply than our calls reach: no server means that. */
function readable(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function around({ base, ownHeaders }: Phrased, { target, body, read }: Said, type: string): Way {
  const { id } = base.model;
  return {
    asked: { method: 'POST', target, body: Buffer.from(body) },
    headers: ownHeaders(),
    passes: () => false,
    type,
    read: (reply) => {
      checkAnswered(reply, id);
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
    const say = (spoken: Spoken): Way | Promise<Way> =>
      knowing(inferring, base, attempt, (known) =>
        around(
          call,
          bounded(() => spoken.say(arm, known)),
          spoken.type,
        ),
      );
    const spoken = call.spoken();
    return spoken instanceof Promise ? spoken.then(say) : say(spoken);
  };
}
