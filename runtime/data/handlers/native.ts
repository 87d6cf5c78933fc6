import { answerEvents, wantsEvents } from './native-stream';
import type { CallOptions } from '../upstream/call';
import type { InferenceResult } from '../upstream/infer';
import { infer } from '../upstream/infer';
import { checkLargeItem, LargeItem, largeNative } from '../upstream/large-call';
import { modelOf, requestedArm } from '../routing/target';
import type { ModelRoute } from '../../core/routing/table';
import { envelope } from './native-envelope';
import type { Exchange } from '../http/exchange';
import { batchNativeCall } from '../batching/batchable';
import { bodyText, parseText } from '../transcode/body-json';
import type { NativeCall } from '../transcode/native-format';
import { parseCall } from '../transcode/native-format';
import { RawBytes } from '../transcode/raw-bytes';
import { outputValue, splicedCall } from '../transcode/copied-text';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import type { Plane, Request } from './request';
import { authenticated, callOptions, plainBody, send } from './request';
import { timeoutWithin } from './request-hints';

// Native calls of one item.

interface ReadCall {
  readonly call: NativeCall | LargeItem;
  readonly bytes: number;
}

/** The parsed call; synchronously if the body has arrived. @throws Refusal with all faults */
function readCall(plane: Plane, request: Request, model: ModelRoute): ReadCall | Promise<ReadCall> {
  const read = (body: Buffer): ReadCall | Promise<ReadCall> => parseBody(plane, model, body);
  const body = plainBody(request, model);
  return Buffer.isBuffer(body) ? read(body) : body.then(read);
}

function parseBody(plane: Plane, model: ModelRoute, body: Buffer): ReadCall | Promise<ReadCall> {
  const bytes = body.length;
  if (bytes > LARGE_BYTES) return largeCall(plane, model, body);
  const text = bodyText(body);
  const spliced = splicedCall(text);
  if (spliced !== undefined) return { call: spliced, bytes };
  return isLarge(body)
    ? largeCall(plane, model, body)
    : { call: parseCall(parseText(text)), bytes };
}

async function largeCall({ inferring }: Plane, model: ModelRoute, body: Buffer): Promise<ReadCall> {
  const { id, inference } = model;
  const calledModel = { id, maxBatchSize: inference.maxBatchSize };
  const call = await checkLargeItem(largeNative(inferring.thread, calledModel, body));
  return { call, bytes: body.length };
}

/** The body's timeout replaces the model's, but never extends the caller's deadline header. */
export const timeoutOf = (
  { fields }: Exchange,
  base: CallOptions,
  requestedMs: number | undefined,
): number => (requestedMs === undefined ? base.timeoutMs : timeoutWithin(fields, requestedMs));

/** Output values for comparison; undefined when one is too large to parse. */
export function comparable(all: readonly InferenceResult[]): readonly unknown[] | undefined {
  const isTooLarge = ({ output }: InferenceResult): boolean =>
    output instanceof RawBytes && output.bytes.length > LARGE_BYTES;
  return all.some(isTooLarge) ? undefined : all.map(({ output }) => outputValue(output));
}

export async function answerNative(plane: Plane, request: Request, id: string): Promise<void> {
  const { exchange, tracing } = request;
  const caller = authenticated(plane, exchange, id);
  const model = modelOf(plane.table, id);
  const arm = requestedArm(exchange, model, caller);
  const read = readCall(plane, request, model);
  const { call, bytes } = read instanceof Promise ? await read : read;
  const base = callOptions(plane, request, model, { arm, version: undefined }, true);
  const timed = {
    ...base,
    priority: call.priority ?? base.priority,
    timeoutMs: timeoutOf(exchange, base, call.timeoutMs),
  };
  if (wantsEvents(exchange, model, arm)) return answerEvents(plane, request, timed, call);
  const own =
    model.inference.batching === undefined || call instanceof LargeItem
      ? timed
      : batchNativeCall(plane.batcher, plane.inferring, timed, call);
  const done = await infer(plane.inferring, own, call);
  const body = envelope(request, id, done, plane.clock.now());
  send(request, typeof body === 'string' ? body : await body, done);
  // A request for an arm by name is a test of that arm; only split traffic is compared.
  if (arm !== undefined || model.shadows.length === 0) return;
  const askShadow = async (named: CallOptions) => {
    const { output } = await infer(plane.inferring, named, call);
    return [outputValue(output)];
  };
  const mirrored = { bytes, live: () => comparable([done]), askShadow };
  plane.shadows.mirror(mirrored, timed, tracing.requestId);
}
