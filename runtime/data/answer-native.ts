import type { ItemResult } from './batch';
import { inferBatch, inferInTurn } from './batch';
import type { CallBase } from './calling';
import { modelOf, namedArm } from './choose';
import { Refusal } from './errors';
import type { Inferred } from './infer';
import { infer } from './infer';
import type { NativeItem } from './protocols/native';
import { parseBatch, parseCall } from './protocols/native';
import type { Plane, Request } from './request';
import { authenticated, baseOf, objectOf, seconds, sendJson } from './request';

// The native calls: one item, or a batch.

export async function answerNative(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(request.exchange, model, caller);
  const { value, bytes } = await objectOf(request, model);
  const call = parseCall(value);
  const base = {
    ...baseOf(plane, request, model, arm, true),
    priority: call.priority,
    timeoutMs: call.timeoutMs ?? model.inference.timeoutSeconds * 1000,
  };
  const done = await infer(plane.inferring, base, call);
  const now = plane.clock.now();
  const body = {
    request_id: request.tracing.requestId,
    model_id: id,
    model_version: done.version,
    output_data: done.output,
    confidence: done.confidence,
    processing_time: seconds(now - request.began),
    timestamp: new Date(now).toISOString(),
  };
  sendJson(request, body, { arm: done.arm, version: done.version });
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (arm !== undefined) return;
  const ask = async (own: CallBase) => [(await infer(plane.inferring, own, call)).output];
  plane.shadows.mirror({ bytes, live: () => [done.output], ask }, base, body.request_id);
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
      live: () => results.filter(isInferred).map(({ output }) => output),
      ask: async (named) => {
        const shadowed = await inferInTurn(plane.inferring, named, answered as NativeItem[]);
        return shadowed.map(({ output }) => output);
      },
    },
    base,
    body.request_id,
  );
}
