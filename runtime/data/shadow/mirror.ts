import { HEAD_LENGTH } from '../../shared/binary';
import type { CallOptions, BufferedResponse } from '../upstream/call';
import { callBuffered } from '../upstream/call';
import type { ResponseBody, Encoding } from '../upstream/transcoded-call';
import type { BodySource } from '../http/exchange';
import type { BodyCopy, RelayedResponse, ProxiedRoute } from '../upstream/relay';
import type { InferenceContext } from '../upstream/infer';
import { parsedAnswer } from '../upstream/infer';
import { supports } from '../routing/supported-calls';
import { BodyBuffer } from '../http/buffers/body-buffer';
import { inflated, isJsonObject } from '../transcode/body-json';
import { LARGE_BYTES } from '../../shared/json-survey';
import { v2ToNative } from '../transcode/v2';
import { readBinaryAnswer } from '../transcode/v2-binary';
import type { MirroredRequest } from './shadows';
import type { TranscodableCall } from '../upstream/encoding';
import { checkAnswered, encoderOf } from '../upstream/encoding';

// How calls that pass untouched are compared with their copies: by what their JSON says, and the
// tensors behind it.

/** Collects what passes by; undefined when it was more than a copy may have. */
export function collectCopy(limit: number) {
  return (source: BodySource): BodyCopy => {
    const pieces = new BodyBuffer();
    let size = 0;
    const keep = (piece: Buffer): void => {
      size += piece.length;
      // A sink has the bytes for the call only.
      if (size <= limit) pieces.copy(piece);
      else pieces.clear();
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
      bytes: () => (size <= limit ? pieces.take() : undefined),
    };
  };
}

/**
 * Outputs by name, one for each row that the answer keeps apart; undefined: it is none.
 * @param length bytes of JSON before binary tensors, by its header
 * Undefined for one that is too large to be read beside other requests.
 * @throws TensorFault, SyntaxError when tensors are not what they say
 */
function outputsOf(
  body: Buffer,
  kind: ProxiedRoute['kind'],
  length?: string,
): readonly unknown[] | undefined {
  if (body.length > LARGE_BYTES) return undefined;
  const isBinary = length !== undefined && kind === 'v2';
  const answer = isBinary ? readBinaryAnswer(body, length) : parsedAnswer({ body });
  if (!isJsonObject(answer)) return undefined;
  if (kind === 'v2') {
    const read = v2ToNative(answer);
    return read && [read.output];
  }
  const { predictions } = answer;
  if (!Array.isArray(predictions)) return [answer];
  return (predictions as unknown[]).map((row) => (isJsonObject(row) ? row : { predictions: row }));
}

/** The live answer, if it is JSON, with or without tensors behind it, that came whole. */
async function liveOutputs(
  { body, fields }: RelayedResponse,
  kind: ProxiedRoute['kind'],
  limit: number,
) {
  const type = fields.get('content-type') ?? 'application/json';
  const length = fields.get(HEAD_LENGTH);
  if (body === undefined || (length === undefined && !/\bjson\b/i.test(type))) return undefined;
  try {
    return outputsOf(await inflated(body, fields.get('content-encoding'), limit), kind, length);
  } catch {
    return undefined;
  }
}

/** What a copy was answered. @throws Refusal, TensorFault, SyntaxError */
async function shadowOutputs(
  reply: BufferedResponse,
  way: Encoding,
  model: string,
  kind: ProxiedRoute['kind'],
) {
  if (!way.isRelayed(reply)) {
    const told = await way.read(reply);
    return outputsOf(typeof told === 'string' ? Buffer.from(told) : told, kind);
  }
  checkAnswered(reply, model);
  return outputsOf(reply.body, kind, reply.fields.get(HEAD_LENGTH));
}

/** Can the copy of such a call be compared? Streams of text that is drawn by chance cannot. */
export function isMirrored(route: ProxiedRoute, { model, arm }: CallOptions): boolean {
  return route.kind !== 'openai' && model.shadows.length > 0 && arm === undefined;
}

/** What the live arm gave: as it passed by, or as it was written for the caller. */
export type LiveAnswer = RelayedResponse | ResponseBody;

/** A V1 or V2 call that was answered, for its copies. */
export function mirroredRequest(
  inferring: InferenceContext,
  call: TranscodableCall,
  live: LiveAnswer,
): MirroredRequest {
  const { route, rawBody: raw, ownHeaders } = call;
  const { kind } = route;
  return {
    bytes: raw.length,
    live: () =>
      typeof live === 'string' || Buffer.isBuffer(live)
        ? outputsOf(Buffer.from(live as string), kind)
        : liveOutputs(live, kind, inferring.limits.shadowBytes),
    askShadow: async (base) => {
      const shadow = base.model.arms.get(base.arm ?? '');
      const isOwn = shadow !== undefined && supports(shadow, route);
      const headers = isOwn ? base.headers : ownHeaders();
      const wayTo = encoderOf(inferring, { ...call, base });
      let way: Encoding | undefined;
      const reply = await callBuffered(inferring, { ...base, headers }, async (attempt) => {
        way = await wayTo(attempt);
        return way.request;
      });
      const outputs = way && (await shadowOutputs(reply, way, base.model.id, kind));
      if (outputs === undefined) throw new Error(`answered ${reply.status}`);
      return outputs;
    },
  };
}
