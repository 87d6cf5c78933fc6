import { HEAD_LENGTH } from '../../shared/binary';
import type { CallOptions, BufferedResponse } from '../upstream/call';
import { callBuffered } from '../upstream/call';
import type { BodySource } from '../http/exchange';
import type {
  BodyCopy,
  Encoding,
  ProxiedRoute,
  RelayedResponse,
  RelayOptions,
  ResponseBody,
} from '../upstream/relay';
import type { InferenceContext } from '../upstream/infer';
import { parsedAnswer } from '../upstream/infer';
import { BodyBuffer } from '../http/buffers/body-buffer';
import { inflated, isJsonObject } from '../transcode/body-json';
import { LARGE_BYTES } from '../../shared/json-survey';
import { v2ToNative } from '../transcode/v2';
import { readBinaryAnswer } from '../transcode/v2-binary';
import type { Plane, Request } from '../handlers/request';
import type { MirroredRequest } from './shadows';
import type { TranscodableCall } from '../upstream/encoding';
import { checkAnswered, encoderOf } from '../upstream/encoding';

// Compares relayed calls with their shadow copies, by their JSON and binary tensors.

/** Copies a body while it is relayed; undefined if it exceeds the limit. */
function collectCopy(limit: number) {
  return (source: BodySource): BodyCopy => {
    const pieces = new BodyBuffer();
    let size = 0;
    const keep = (piece: Buffer): void => {
      size += piece.length;
      // The bytes are valid only during this call.
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
 * Outputs by name, one element per row if the answer has rows; undefined: it is not an answer of
 * the protocol, or too large to be parsed on the event loop.
 * @param length bytes of JSON before binary tensors, from its header
 * @throws TensorFault, SyntaxError when the answer is invalid
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

/** Outputs of a complete live answer in JSON, with or without binary tensors. */
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

/** Outputs of the shadow's answer. @throws Refusal, TensorFault, SyntaxError */
async function shadowOutputs(
  reply: BufferedResponse,
  { decoder }: Encoding,
  model: string,
  kind: ProxiedRoute['kind'],
) {
  if (decoder !== undefined) {
    const body = await decoder.read(reply);
    return outputsOf(typeof body === 'string' ? Buffer.from(body) : body, kind);
  }
  checkAnswered(reply, model);
  return outputsOf(reply.body, kind, reply.fields.get(HEAD_LENGTH));
}

/** OpenAI calls are not mirrored: sampled text cannot be compared. */
export function isMirrored(route: ProxiedRoute, { model, arm }: CallOptions): boolean {
  return route.kind !== 'openai' && model.shadows.length > 0 && arm === undefined;
}

/** The live answer: relayed, or transcoded for the caller. */
type LiveAnswer = RelayedResponse | ResponseBody;

/** Copies a successful response of a mirrored call to its shadows; undefined: it is not mirrored. */
export function mirrorOf(
  { inferring, limits, shadows }: Pick<Plane, 'inferring' | 'limits' | 'shadows'>,
  { tracing }: Pick<Request, 'tracing'>,
  route: ProxiedRoute,
  base: CallOptions,
  callOf: () => TranscodableCall,
): Pick<RelayOptions, 'collect' | 'onSent'> | undefined {
  if (!isMirrored(route, base)) return undefined;
  const onSent = (live: LiveAnswer): void =>
    shadows.mirror(mirroredRequest(inferring, callOf(), live), base, tracing.requestId);
  return { collect: collectCopy(limits.shadowBytes), onSent };
}

/** An answered V1 or V2 call, as it is mirrored to shadows. */
function mirroredRequest(
  inferring: InferenceContext,
  call: TranscodableCall,
  live: LiveAnswer,
): MirroredRequest {
  const { route, rawBody } = call;
  const { kind } = route;
  return {
    bytes: rawBody.length,
    live: () =>
      typeof live === 'string' || Buffer.isBuffer(live)
        ? outputsOf(Buffer.from(live as string), kind)
        : liveOutputs(live, kind, inferring.limits.shadowBytes),
    askShadow: async (base) => {
      const encode = encoderOf(inferring, { ...call, base });
      const { reply, request } = await callBuffered(inferring, base, encode);
      const outputs = await shadowOutputs(reply, request, base.model.id, kind);
      if (outputs === undefined) throw new Error(`answered ${reply.status}`);
      return outputs;
    },
  };
}
