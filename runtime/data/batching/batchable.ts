import { isUtf8 } from 'node:buffer';
import { areJoined } from '../../core/routing/batching';
import type { ArmRoute } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import type { Exchange } from '../http/exchange';
import type { ProxiedRoute } from '../upstream/relay';
import { isForwardedHeader, carriesClientAddress, withoutHeaders } from '../upstream/headers';
import type { InferenceContext } from '../upstream/infer';
import type { Joiner } from './batcher';
import type { Part } from './batched-call';
import { messageOf } from './batched-call';
import { encodeNative, wantsMetadata } from '../transcode';
import { nativeTarget } from '../transcode/native-target';
import type { Cut, Message } from './splice';
import { keyOf } from './splice';
import { cutNative } from './splice-native';
import { cutV1 } from './splice-v1';
import { cutV2 } from './splice-v2';
import type { Form } from './codecs';
import { FORMS } from './codecs';
import type { NativeItem } from '../transcode/native-format';

// How a request is said together with others (`inference.batching`).

/** Headers that say what a body is and what is wanted; and what callers add for their model. */
const isCommon = (name: string): boolean =>
  name === 'content-type' ||
  name === 'accept' ||
  (!isForwardedHeader(name) && name !== 'traceparent');

/** Different in every request, and nothing to a model: what proxies and traces leave. */
const PER_REQUEST =
  /^x-(?:(?:request|correlation|trace|span|amzn-trace)-id|request-start|(?:forwarded|b3|cloud-trace|envoy|datadog)-.*)$/;

const isOfOne = (name: string): boolean => PER_REQUEST.test(name) || carriesClientAddress(name);

/** Who the caller is decides its arm; a key that is known by a header must not keep callers apart. */
function headersOf({ headers, model }: CallOptions): {
  readonly common: string;
  readonly own: string;
} {
  const { cohort } = model;
  const key = 'header' in cohort ? cohort.header.toLowerCase() : undefined;
  const isOwn = (name: string): boolean => name === 'x-request-id' || name === 'traceparent';
  return {
    common: withoutHeaders(headers, (name) => !isCommon(name) || isOfOne(name) || name === key),
    // A call for several is found in a log by the first of them.
    own: withoutHeaders(headers, (name) => !isOwn(name)),
  };
}

/**
 * Of JSON; to cut it holds the event loop for about 10 ms a MiB. Who sends more at a time sends
 * tensors as bytes, or is no small request.
 */
const MAX_JSON_BYTES = 1024 * 1024;

function partOf(
  base: CallOptions,
  { body, jsonBytes }: Message,
  cut: (message: Message, maxRows?: number) => Cut | undefined,
  form: Form,
  target: string,
): Part | undefined {
  if ((jsonBytes ?? body.length) > MAX_JSON_BYTES) return undefined;
  // A character that is cut short may take the quote behind it along, and so the next row, too.
  if (!isUtf8(body.subarray(0, jsonBytes))) return undefined;
  const own = cut({ body, jsonBytes }, base.model.inference.batching?.maxSize);
  if (own === undefined) return undefined;
  const headers = headersOf(base);
  const key = [target, headers.common, keyOf(own)].join('\0');
  const all = headers.common + headers.own;
  return { key, cut: own, bytes: body.length, form, target, headers: all };
}

const asText =
  (cut: (text: string) => Cut | undefined) =>
  ({ body }: Message): Cut | undefined =>
    cut(body.toString('latin1'));

/** A request for a version is not joined: a call goes to any replica of its arm. */
const joins = ({ model: { inference }, version }: CallOptions): boolean =>
  areJoined(inference) && version === undefined;

const gathered = (joiner: Joiner, base: CallOptions, of: (arm: ArmRoute) => Part | undefined) => ({
  ...base,
  gather: ((companion) =>
    joiner.gather(base, companion, () => {
      // The built-in server batches by itself.
      return companion.arm.server.kind === 'onnx' ? undefined : of(companion.arm);
    })) satisfies CallOptions['gather'],
});

function passingPart(
  base: CallOptions,
  arm: ArmRoute,
  route: ProxiedRoute,
  exchange: Exchange,
  body: Buffer,
  target: string,
): Part | undefined {
  const message = messageOf({ fields: exchange.fields, body });
  if (message === undefined) return undefined;
  if (route.kind === 'v2' && arm.protocol === 'v2') {
    return partOf(base, message, cutV2, FORMS.v2, target);
  }
  const speaksV1 = arm.protocol === 'v1' || arm.protocol === 'tfs';
  if (route.kind !== 'v1' || !speaksV1) return undefined;
  return partOf(base, { body, jsonBytes: undefined }, asText(cutV1), FORMS.v1, target);
}

/** A call whose bytes pass, with others if its model says so. */
export function passingTogether(
  joiner: Joiner,
  base: CallOptions,
  route: ProxiedRoute,
  exchange: Exchange,
  body: Buffer,
  target: string,
): CallOptions {
  if (!joins(base)) return base;
  const isRows =
    (route.kind === 'v2' && route.call === 'infer') ||
    (route.kind === 'v1' && route.call === 'predict');
  if (!isRows) return base;
  return gathered(joiner, base, (arm) => passingPart(base, arm, route, exchange, body, target));
}

function nativePart(
  { metadata }: InferenceContext,
  base: CallOptions,
  arm: ArmRoute,
  item: NativeItem,
): Part | undefined {
  const { id } = base.model;
  const known = wantsMetadata(arm) ? metadata.known(id, arm) : undefined;
  // The first call by itself learns it.
  if (wantsMetadata(arm) && known === undefined) return undefined;
  const { target, body } = encodeNative(arm, id, item, known);
  const message = { body: Buffer.from(body), jsonBytes: undefined };
  const batch = nativeTarget(arm, id, 'batch_inference');
  if (batch !== undefined) return partOf(base, message, asText(cutNative), FORMS.native, batch);
  if (arm.protocol === 'v2') return partOf(base, message, cutV2, FORMS.v2, target);
  return partOf(base, message, asText(cutV1), FORMS.v1, target);
}

/** A native call, with others if its model says so. */
export function nativeTogether(
  joiner: Joiner,
  inferring: InferenceContext,
  base: CallOptions,
  item: NativeItem,
): CallOptions {
  if (!joins(base)) return base;
  return gathered(joiner, base, (arm) => nativePart(inferring, base, arm, item));
}
