import { isUtf8 } from 'node:buffer';
import { areJoined } from '../../core/routing/batching';
import type { ArmRoute } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import type { Exchange } from '../http/exchange';
import type { ProxiedRoute } from '../upstream/relay';
import { isForwardedHeader, carriesClientAddress, withoutHeaders } from '../upstream/headers';
import type { InferenceContext } from '../upstream/infer';
import type { CallBatcher } from './batcher';
import type { BatchableRequest } from './batched-call';
import { messageOf } from './batched-call';
import { encodeNative, wantsMetadata } from '../transcode';
import { nativeTarget } from '../transcode/native-target';
import type { Splice, Message } from './splice';
import { keyOf } from './splice';
import { spliceNative } from './splice-native';
import { spliceV1 } from './splice-v1';
import { spliceV2 } from './splice-v2';
import type { BatchCodec } from './codecs';
import { BATCH_CODECS } from './codecs';
import type { NativeItem } from '../transcode/native-format';

// Makes requests batchable (`inference.batching`).

/** Headers that describe the body and the wanted answer, and custom headers for the model. */
const isCommon = (name: string): boolean =>
  name === 'content-type' ||
  name === 'accept' ||
  (!isForwardedHeader(name) && name !== 'traceparent');

/** Headers of proxies and tracing: different in every request and of no interest to a model. */
const PER_REQUEST =
  /^x-(?:(?:request|correlation|trace|span|amzn-trace)-id|request-start|(?:forwarded|b3|cloud-trace|envoy|datadog)-.*)$/;

const isOfOne = (name: string): boolean => PER_REQUEST.test(name) || carriesClientAddress(name);

/** The cohort header only chooses the arm: it must not prevent batching across callers. */
function headersOf({ headers, model }: CallOptions): {
  readonly common: string;
  readonly own: string;
} {
  const { cohort } = model;
  const key = 'header' in cohort ? cohort.header.toLowerCase() : undefined;
  const isOwn = (name: string): boolean => name === 'x-request-id' || name === 'traceparent';
  return {
    common: withoutHeaders(headers, (name) => !isCommon(name) || isOfOne(name) || name === key),
    // Logs show a batch call under the IDs of its first request.
    own: withoutHeaders(headers, (name) => !isOwn(name)),
  };
}

/** JSON above this size is not batched: splicing blocks the event loop for about 10 ms per MiB. */
const MAX_JSON_BYTES = 1024 * 1024;

function batchableRequest(
  base: CallOptions,
  { body, jsonBytes }: Message,
  cut: (message: Message, maxRows?: number) => Splice | undefined,
  codec: BatchCodec,
  target: string,
): BatchableRequest | undefined {
  if ((jsonBytes ?? body.length) > MAX_JSON_BYTES) return undefined;
  // A truncated UTF-8 character may swallow the quote behind it, and so the next row.
  if (!isUtf8(body.subarray(0, jsonBytes))) return undefined;
  const own = cut({ body, jsonBytes }, base.model.inference.batching?.maxSize);
  if (own === undefined) return undefined;
  const headers = headersOf(base);
  const key = [target, headers.common, keyOf(own)].join('\0');
  const all = headers.common + headers.own;
  return { key, splice: own, bytes: body.length, codec, target, headers: all };
}

const asText =
  (cut: (text: string) => Splice | undefined) =>
  ({ body }: Message): Splice | undefined =>
    cut(body.toString('latin1'));

/** A request for a version is not batched: a batch call goes to any replica of its arm. */
const isBatchable = ({ model: { inference }, version }: CallOptions): boolean =>
  areJoined(inference) && version === undefined;

const withBatching = (
  batcher: CallBatcher,
  base: CallOptions,
  of: (arm: ArmRoute) => BatchableRequest | undefined,
) => ({
  ...base,
  joinBatch: ((member) =>
    batcher.enqueue(base, member, () => {
      // The built-in server does its own batching.
      return member.arm.server.kind === 'onnx' ? undefined : of(member.arm);
    })) satisfies CallOptions['joinBatch'],
});

function relayedRequest(
  base: CallOptions,
  arm: ArmRoute,
  route: ProxiedRoute,
  exchange: Exchange,
  body: Buffer,
  target: string,
): BatchableRequest | undefined {
  const message = messageOf({ fields: exchange.fields, body });
  if (message === undefined) return undefined;
  if (route.kind === 'v2' && arm.protocol === 'v2') {
    return batchableRequest(base, message, spliceV2, BATCH_CODECS.v2, target);
  }
  const speaksV1 = arm.protocol === 'v1' || arm.protocol === 'tfs';
  if (route.kind !== 'v1' || !speaksV1) return undefined;
  return batchableRequest(
    base,
    { body, jsonBytes: undefined },
    asText(spliceV1),
    BATCH_CODECS.v1,
    target,
  );
}

/** Options of a relayed call that joins batches if its model enables batching. */
export function batchRelayedCall(
  batcher: CallBatcher,
  base: CallOptions,
  route: ProxiedRoute,
  exchange: Exchange,
  body: Buffer,
  target: string,
): CallOptions {
  if (!isBatchable(base)) return base;
  const isRows =
    (route.kind === 'v2' && route.call === 'infer') ||
    (route.kind === 'v1' && route.call === 'predict');
  if (!isRows) return base;
  return withBatching(batcher, base, (arm) =>
    relayedRequest(base, arm, route, exchange, body, target),
  );
}

function nativeRequest(
  { metadata }: InferenceContext,
  base: CallOptions,
  arm: ArmRoute,
  item: NativeItem,
): BatchableRequest | undefined {
  const { id } = base.model;
  const known = wantsMetadata(arm) ? metadata.cached(id, arm) : undefined;
  // The first call goes alone and fetches the metadata.
  if (wantsMetadata(arm) && known === undefined) return undefined;
  const { target, body } = encodeNative(arm, id, item, known);
  const message = { body: Buffer.from(body), jsonBytes: undefined };
  const batch = nativeTarget(arm, id, 'batch_inference');
  if (batch !== undefined)
    return batchableRequest(base, message, asText(spliceNative), BATCH_CODECS.native, batch);
  if (arm.protocol === 'v2')
    return batchableRequest(base, message, spliceV2, BATCH_CODECS.v2, target);
  return batchableRequest(base, message, asText(spliceV1), BATCH_CODECS.v1, target);
}

/** Options of a native call that joins batches if its model enables batching. */
export function batchNativeCall(
  batcher: CallBatcher,
  inferring: InferenceContext,
  base: CallOptions,
  item: NativeItem,
): CallOptions {
  if (!isBatchable(base)) return base;
  return withBatching(batcher, base, (arm) => nativeRequest(inferring, base, arm, item));
}
