import type { CallBase } from '../call/calling';
import { callBuffered } from '../call/calling';
import type { Way } from '../call/crossing';
import type { Source } from '../exchange';
import type { Collected, Passed, Passing } from '../call/forward';
import type { Inferring } from '../call/infer';
import { parsedAnswer } from '../call/infer';
import { speaks } from '../call/offers';
import { inflated, isPlain } from '../protocols/json';
import { v2ToNative } from '../protocols/v2';
import type { Mirrored } from './shadows';
import type { Phrased } from '../call/ways';
import { waysOf } from '../call/ways';

// How calls that pass untouched are compared with their copies: by what their JSON says.

/** Collects what passes by; undefined when it was more than a copy may have. */
export function collecting(limit: number) {
  return (source: Source): Collected => {
    const pieces: Buffer[] = [];
    let size = 0;
    const keep = (piece: Buffer): void => {
      size += piece.length;
      // A sink has the bytes for the call only.
      if (size <= limit) pieces.push(Buffer.from(piece));
      else pieces.length = 0;
    };
    return {
      source: {
        flow: (sink) =>
          source.flow({
            data: (piece) => {
              keep(piece);
              return sink.data(piece);
            },
            end: () => sink.end(),
            fail: (why) => sink.fail(why),
          }),
        resume: () => source.resume(),
        destroy: () => source.destroy(),
      },
      bytes: () => (size <= limit ? Buffer.concat(pieces) : undefined),
    };
  };
}

/** Outputs by name, one for each row that the answer keeps apart; undefined: it is none. */
function outputsOf(body: Buffer, kind: Passing['kind']): readonly unknown[] | undefined {
  const answer = parsedAnswer({ body });
  if (!isPlain(answer)) return undefined;
  if (kind === 'v2') {
    const read = v2ToNative(answer);
    return read && [read.output];
  }
  const { predictions } = answer;
  if (!Array.isArray(predictions)) return [answer];
  return (predictions as unknown[]).map((row) => (isPlain(row) ? row : { predictions: row }));
}

/** The live answer, if it is JSON that came whole. */
async function liveOf({ body, fields }: Passed, kind: Passing['kind'], limit: number) {
  const type = fields.get('content-type') ?? 'application/json';
  if (body === undefined || !/\bjson\b/i.test(type)) return undefined;
  try {
    return outputsOf(await inflated(body, fields.get('content-encoding'), limit), kind);
  } catch {
    return undefined;
  }
}

/** Can the copy of such a call be compared? Streams of text that is drawn by chance cannot. */
export function isMirrored(route: Passing, { model, arm }: CallBase): boolean {
  return route.kind !== 'openai' && model.shadows.length > 0 && arm === undefined;
}

/** What the live arm gave: as it passed by, or as it was written for the caller. */
export type LiveAnswer = Passed | string;

/** A V1 or V2 call that was answered, for its copies. */
export function mirrored(inferring: Inferring, call: Phrased, live: LiveAnswer): Mirrored {
  const { route, raw, ownHeaders } = call;
  const { kind } = route;
  return {
    bytes: raw.length,
    live: () =>
      typeof live === 'string'
        ? outputsOf(Buffer.from(live), kind)
        : liveOf(live, kind, inferring.limits.shadowBytes),
    ask: async (base) => {
      const shadow = base.model.arms.get(base.arm ?? '');
      const isOwn = shadow !== undefined && speaks(shadow, route);
      const headers = isOwn ? base.headers : ownHeaders();
      const wayTo = waysOf(inferring, { ...call, base });
      let way: Way | undefined;
      const reply = await callBuffered(inferring, { ...base, headers }, async (attempt) => {
        way = await wayTo(attempt);
        return way.asked;
      });
      const body = way?.read(reply);
      const outputs = body === undefined ? undefined : outputsOf(Buffer.from(body), kind);
      if (outputs === undefined) throw new Error(`answered ${reply.status}`);
      return outputs;
    },
  };
}
