import { answerEvents, wantsEvents } from './answer-events';
import type { ItemResult } from './batch';
import { inferBatch, inferInTurn } from './batch';
import type { CallBase } from './calling';
import { modelOf, namedArm } from './choose';
import { Refusal } from './errors';
import { envelope } from './envelope';
import type { Inferred } from './infer';
import { infer } from './infer';
import type { ModelRoute } from '../core/table';
import { JSON_TYPE, ownHeaders } from './headers';
import { nativeTogether } from './joining';
import { parseText } from './protocols/json';
import type { NativeCall, NativeItem } from './protocols/native';
import { parseBatch, parseCall } from './protocols/native';
import { outputValue, splicedCall } from './protocols/splice';
import type { Plane, Request } from './request';
import { authenticated, baseOf, objectOf, seconds, sendJson } from './request';

// The native calls: one item, or a batch.

/** The call, by the short way if it is simple. @throws Refusal with all that is wrong */
async function callOf(request: Request, model: ModelRoute) {
  const { exchange } = request;
  if (exchange.fields.get('content-encoding') === undefined) {
    const body = exchange.body(model.inference.maxBodyBytes);
    const bytes = Buffer.isBuffer(body) ? body : await body;
    const call = nativeCall(bytes.toString('utf8'));
    return { call, bytes: bytes.length };
  }
  const { value, bytes } = await objectOf(request, model);
  return { call: parseCall(value), bytes };
}

function nativeCall(text: string): NativeCall {
  const item = splicedCall(text);
  if (item === undefined) return parseCall(parseText(text));
  return Object.assign(item, { timeoutMs: undefined, priority: 'normal' as const });
}

export async function answerNative(plane: Plane, request: Request, id: string): Promise<void> {
  const { exchange, tracing } = request;
  const caller = authenticated(plane, exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(exchange, model, caller);
  const { call, bytes } = await callOf(request, model);
  const base = baseOf(plane, request, model, arm, true);
  const timed = {
    ...base,
    priority: call.priority,
    timeoutMs: call.timeoutMs ?? base.timeoutMs,
  };
  if (wantsEvents(exchange, model, arm)) return answerEvents(plane, request, timed, call);
  const own = nativeTogether(plane.joiner, plane.inferring, timed, call);
  const done = await infer(plane.inferring, own, call);
  const body = envelope(request, id, done, plane.clock.now());
  exchange.account?.answering(done.arm, done.version);
  exchange.answer(200, JSON_TYPE + ownHeaders(tracing, done), body);
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (arm !== undefined || model.shadows.length === 0) return;
  const outputOf = (one: Inferred): unknown => outputValue(one.output);
  const ask = async (named: CallBase) => [outputOf(await infer(plane.inferring, named, call))];
  const mirrored = { bytes, live: () => [outputOf(done)], ask };
  plane.shadows.mirror(mirrored, timed, tracing.requestId);
}

const isInferred = (one: ItemResult): one is Inferred => !(one instanceof Refusal);

function itemBody(result: ItemResult): object {
  if (!(result instanceof Refusal)) {
    const { output, confidence, version } = result;
    return { output_data: output, confidence, model_version: version };
  }
  const { code, message, more } = result;
  return { error: { code, message, ...(more.details && { details: more.details }) } };
}

export async function answerBatch(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(request.exchange, model, caller);
  const { value, bytes } = await objectOf(request, model);
  const { requests, timeoutMs } = parseBatch(value, model.inference.maxBatchSize);
  const own = baseOf(plane, request, model, arm, true);
  const base: CallBase = {
    ...own,
    timeoutMs: timeoutMs ?? model.inference.timeoutSeconds * 1000,
    // One arm for the whole batch; without a key of the caller's the request is its own cohort.
    cohortKey: own.cohortKey ?? request.tracing.requestId,
  };
  const results = await inferBatch(plane.inferring, base, requests);
  const failed = results.filter((one) => one instanceof Refusal).length;
  const succeeded = results.length - failed;
  plane.onBatch(id, failed === 0 ? 'success' : succeeded === 0 ? 'error' : 'partial');
  const body = {
    request_id: request.tracing.requestId,
    model_id: id,
    results: results.map(itemBody),
    succeeded,
    failed,
    processing_time: seconds(plane.clock.now() - request.began),
  };
  sendJson(
    request,
    body,
    results.find((one) => isInferred(one)),
  );
  if (arm !== undefined || succeeded === 0) return;
  const answered = requests.filter((_, index) => !(results[index] instanceof Refusal));
  plane.shadows.mirror(
    {
      bytes,
      live: () => results.filter(isInferred).map(({ output }) => outputValue(output)),
      ask: async (named) => {
        const shadowed = await inferInTurn(plane.inferring, named, answered as NativeItem[]);
        return shadowed.map(({ output }) => outputValue(output));
      },
    },
    base,
    body.request_id,
  );
}
