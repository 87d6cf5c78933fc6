import type { ModelRoute } from '../../core/routing/table';
import { joined } from '../../shared/join-buffers';
import { quoted } from '../../shared/quoted';
import type { BatchItem, ItemResult } from '../upstream/batch';
import { inferBatch, inferSequentially } from '../upstream/batch';
import type { CallOptions } from '../upstream/call';
import type { InferenceResult } from '../upstream/infer';
import { bufferOf, LargeItem, largeNative, deserializeRefusal } from '../upstream/large-call';
import { modelOf, requestedArm } from '../routing/target';
import { Refusal } from '../transcode/refusal';
import { writeStrict } from '../transcode/exact-json';
import { parseObject } from '../transcode/body-json';
import { parseBatch } from '../transcode/native-format';
import { RawBytes } from '../transcode/raw-bytes';
import { outputValue, SplicedCall } from '../transcode/copied-text';
import { isLarge } from '../../shared/json-survey';
import type { Plane, Request } from './request';
import { authenticated, callOptions, plainBody, seconds, send } from './request';
import { comparable, timeoutOf } from './native';

// Native batches: many items in one call.

const isInferred = (one: ItemResult): one is InferenceResult => !(one instanceof Refusal);

function itemBody(result: ItemResult): object {
  if (!(result instanceof Refusal)) {
    const { output, confidence, version } = result;
    return { output_data: output, confidence, model_version: version };
  }
  const { code, message, more } = result;
  return { error: { code, message, ...(more.details && { details: more.details }) } };
}

/** A result as parts of JSON; a large output is copied, not parsed. */
function itemJson(result: ItemResult): readonly Uint8Array[] {
  if (result instanceof Refusal || !(result.output instanceof RawBytes)) {
    return [Buffer.from(writeStrict(itemBody(result)))];
  }
  const { bytes, confidence } = result.output;
  const [before, between] = [Buffer.from('{"output_data":'), Buffer.from(',"confidence":')];
  const after = Buffer.from(`,"model_version":${quoted(result.version)}}`);
  return [before, bytes, between, confidence, after];
}

function batchBody(
  head: object,
  results: readonly ItemResult[],
  tail: object,
): string | Promise<Buffer> {
  const isPlainText = results.every(
    (one) => one instanceof Refusal || !(one.output instanceof RawBytes),
  );
  if (isPlainText) return writeStrict({ ...head, results: results.map(itemBody), ...tail });
  const comma = Buffer.from(',');
  const list = results.flatMap((one, at) => (at === 0 ? itemJson(one) : [comma, ...itemJson(one)]));
  const begin = Buffer.from(`${writeStrict(head).slice(0, -1)},"results":[`);
  return joined([begin, ...list, Buffer.from(`],${writeStrict(tail).slice(1)}`)]);
}

interface ReadBatch {
  readonly requests: readonly unknown[];
  readonly timeoutMs: number | undefined;
}

/** @throws Refusal with all faults of the batch as a whole */
async function batchIn(
  { inferring }: Plane,
  { id, inference }: ModelRoute,
  body: Buffer,
): Promise<ReadBatch> {
  const { maxBatchSize: maxItems } = inference;
  if (!isLarge(body)) return parseBatch(parseObject(body), maxItems);
  const { items, timeoutMs } = await inferring.thread.run({ op: 'batch', body, maxItems });
  const calledModel = { id, maxBatchSize: maxItems };
  const requests = items.map((one): BatchItem | Refusal => {
    if (!(one instanceof Uint8Array)) return deserializeRefusal(one);
    const own = bufferOf(one);
    if (isLarge(own)) return new LargeItem(largeNative(inferring.thread, calledModel, own));
    return new SplicedCall(own.toString('utf8'), undefined, undefined);
  });
  return { requests, timeoutMs };
}

export async function answerBatch(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = requestedArm(request.exchange, model, caller);
  const body = await plainBody(request, model);
  const { requests, timeoutMs } = await batchIn(plane, model, body);
  const own = callOptions(plane, request, model, { arm, version: undefined }, true);
  const base: CallOptions = {
    ...own,
    timeoutMs: timeoutOf(request.exchange, own, timeoutMs),
    // One arm for the whole batch: without a cohort key the request id is the key.
    cohortKey: own.cohortKey ?? request.tracing.requestId,
  };
  const results = await inferBatch(plane.inferring, base, requests);
  const failed = results.filter((one) => one instanceof Refusal).length;
  const succeeded = results.length - failed;
  plane.onBatch(id, failed === 0 ? 'success' : succeeded === 0 ? 'error' : 'partial');
  const { requestId } = request.tracing;
  const head = { request_id: requestId, model_id: id };
  const tail = { succeeded, failed, processing_time: seconds(plane.clock.now() - request.began) };
  const responseBody = batchBody(head, results, tail);
  send(
    request,
    typeof responseBody === 'string' ? responseBody : await responseBody,
    results.find((one) => isInferred(one)),
  );
  if (arm !== undefined || succeeded === 0) return;
  const answered = requests.filter((_, index) => !(results[index] instanceof Refusal));
  plane.shadows.mirror(
    {
      bytes: body.length,
      live: () => comparable(results.filter(isInferred)),
      askShadow: async (named) => {
        const shadowed = await inferSequentially(plane.inferring, named, answered as BatchItem[]);
        return shadowed.map(({ output }) => outputValue(output));
      },
    },
    base,
    requestId,
  );
}
