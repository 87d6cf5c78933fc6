import { chunksOf, lanesOf } from '../../core/routing/batch-chunks';
import type { Attempt } from '../dispatch/job';
import type { UpstreamRequest, CallOptions, BufferedResponse } from './call';
import { callBuffered } from './call';
import { CallerGone, CallReplaced } from './failure';
import { Refusal } from '../transcode/refusal';
import type { InferenceResult, InferenceContext } from './infer';
import {
  answerText,
  checkUtf8,
  infer,
  invalidResponse,
  outputOf,
  parsedText,
  refusalOf,
} from './infer';
import { itemBytes, LargeItem, deserializeRefusal } from './large-call';
import { writeStrict } from '../transcode/exact-json';
import { isJsonObject } from '../transcode/body-json';
import type { NativeItem } from '../transcode/native-format';
import { parseItem, readItem } from '../transcode/native-format';
import { SplicedCall } from '../transcode/copied-text';
import { joined } from '../../shared/join-buffers';
import { isLarge } from '../../shared/json-survey';
import { nativeTarget } from '../transcode/native-target';

/** The outcome of one item. */
export type ItemResult = InferenceResult | Refusal;

export type BatchItem = NativeItem | LargeItem;

/** An item with its place in the batch. */
interface IndexedItem {
  readonly index: number;
  readonly item: BatchItem;
}

/** Consecutive items, and how many may run at a time when they are sent one by one. */
interface BatchPart {
  readonly items: readonly IndexedItem[];
  readonly base: CallOptions;
  readonly lanes: number;
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof CallerGone) throw error;
  return new Refusal('INTERNAL', 'the item failed inside the router');
}

function itemResult(value: unknown, from: Pick<InferenceResult, 'arm' | 'version'>, model: string) {
  const output = readItem(value);
  if (output === undefined) return invalidResponse(model);
  return output instanceof Refusal ? output : { ...output, ...from };
}

const isAsText = (item: BatchItem): boolean =>
  item instanceof LargeItem || item instanceof SplicedCall;

/** @throws CallReplaced when an item is nested too deeply: only that item must fail */
function bodyOf(chunk: readonly IndexedItem[]): Buffer | Promise<Buffer> {
  const items = chunk.map(({ item }) => item);
  try {
    if (!items.some(isAsText)) return Buffer.from(writeStrict({ requests: items }));
    const parts = items.flatMap((one, at) => [Buffer.from(at === 0 ? '' : ','), itemBytes(one)]);
    return joined([Buffer.from('{"requests":['), ...parts, Buffer.from(']}')]);
  } catch (error) {
    throw error instanceof RangeError ? new CallReplaced() : error;
  }
}

/** One bad item may have failed the whole call: each item is sent in a call of its own. */
const isSpoiled = ({ status }: BufferedResponse, { length }: readonly IndexedItem[]): boolean =>
  length > 1 && ((status >= 400 && status < 500) || status === 500);

/** One call for several items. Undefined: they have to be sent one by one. */
async function callChunk(
  context: InferenceContext,
  base: CallOptions,
  chunk: readonly IndexedItem[],
): Promise<readonly ItemResult[] | undefined> {
  const { headers, model } = base;
  const { id } = model;
  const encode = ({ arm }: Attempt): UpstreamRequest | Promise<UpstreamRequest> => {
    const target = nativeTarget(arm, id, 'batch_inference');
    // The arm has a new server, which takes no batches.
    if (target === undefined) throw new CallReplaced();
    const put = (body: Buffer): UpstreamRequest => ({ method: 'POST', target, body, headers });
    const body = bodyOf(chunk);
    return body instanceof Promise ? body.then(put) : put(body);
  };
  const own = { ...base, items: chunk.length };
  const called = await callBuffered(context, own, encode, (reply) => isSpoiled(reply, chunk)).catch(
    (error: unknown) => {
      if (error instanceof CallReplaced) return undefined;
      throw error;
    },
  );
  if (called === undefined || isSpoiled(called.reply, chunk)) return undefined;
  const { reply } = called;
  const { status } = reply;
  if (status >= 300) throw refusalOf(reply, id);
  if (isLarge(reply.body)) return largeResults(context, base, reply, chunk.length);
  const answer = parsedText(answerText(reply, id));
  const results = isJsonObject(answer) ? answer['results'] : undefined;
  if (!Array.isArray(results) || results.length !== chunk.length) throw invalidResponse(id);
  const from = { arm: reply.arm.name, version: reply.replica.version };
  return results.map((value) => itemResult(value, from, id));
}

/** The results of a large response. @throws Refusal */
async function largeResults(
  { thread }: InferenceContext,
  { model, held }: CallOptions,
  reply: BufferedResponse,
  count: number,
): Promise<readonly ItemResult[]> {
  const { id } = model;
  checkUtf8(reply, id);
  const results = await thread.run({ op: 'results', answer: reply.body, count });
  if (results === undefined) throw invalidResponse(id);
  const from = { arm: reply.arm.name, version: reply.replica.version };
  return results.map((one) => {
    if (one === null) return invalidResponse(id);
    if ('code' in one) return deserializeRefusal(one);
    held?.take(one.bytes.length);
    return { ...outputOf(one), ...from };
  });
}

/** Does every arm that may be chosen take several items in one call? */
function takesChunks({ model: { arms, id }, arm: named, planned }: CallOptions): boolean {
  const only = named ?? planned?.arm;
  return [...arms.values()]
    .filter(({ name }) => only === undefined || name === only)
    .every((arm) => nativeTarget(arm, id, 'batch_inference') !== undefined);
}

/** Runs items with limited concurrency, so that a batch does not fill the queue. */
async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      next += 1;
      await run(items[next - 1] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
}

/** All calls of a batch share one deadline. */
type WithDeadline = (base: CallOptions) => CallOptions;

function tooLate(): Refusal {
  return new Refusal(
    'INFERENCE_TIMEOUT',
    'the time of the batch was over before the turn of this item; allow more time, or send fewer items',
  );
}

async function oneByOne(
  context: InferenceContext,
  { items, base, lanes }: BatchPart,
  timed: WithDeadline,
): Promise<readonly ItemResult[]> {
  const results = new Map<IndexedItem, ItemResult>();
  await inLanes(items, lanes, async (placed) => {
    const own = { ...timed(base), items: 1, planned: base.planned && { arm: base.planned.arm } };
    const result = await infer(context, own, placed.item).catch(asRefusal);
    results.set(placed, own.timeoutMs === 0 ? tooLate() : result);
  });
  return items.map((placed) => results.get(placed) ?? invalidResponse(base.model.id));
}

async function runPart(
  context: InferenceContext,
  part: BatchPart,
  timed: WithDeadline,
): Promise<readonly ItemResult[]> {
  const { items, base } = part;
  try {
    const together = takesChunks(base) ? await callChunk(context, timed(base), items) : undefined;
    return together ?? (await oneByOne(context, part, timed));
  } catch (error) {
    const refusal = asRefusal(error);
    return items.map(() => refusal);
  }
}

/** Chooses the arm for the whole batch, and divides the items among its replicas. */
function partsOf(
  { dispatcher }: InferenceContext,
  base: CallOptions,
  items: readonly IndexedItem[],
): readonly BatchPart[] {
  const plan = dispatcher.plan(base);
  if (plan === undefined) return [{ items, base, lanes: 1 }];
  const { arm, rooms } = plan;
  const planned = { ...base, planned: { arm: arm.name } };
  if (!takesChunks(planned)) return [{ items, base: planned, lanes: lanesOf(rooms) }];
  let from = 0;
  return chunksOf(items.length, rooms).map(({ replica, items: size, lanes }) => {
    const own = items.slice(from, from + size);
    from += size;
    return { items: own, base: { ...base, planned: { arm: arm.name, replica } }, lanes };
  });
}

/** Was the item checked when the batch was parsed? */
const isRead = (value: unknown): value is BatchItem =>
  value instanceof LargeItem || value instanceof SplicedCall;

/**
 * Runs a batch on the replicas of one arm: in order, with errors per item.
 * @throws CallerGone
 */
export async function inferBatch(
  context: InferenceContext,
  base: CallOptions,
  requests: readonly unknown[],
): Promise<readonly ItemResult[]> {
  const results: ItemResult[] = [];
  const good: IndexedItem[] = [];
  for (const [index, value] of requests.entries()) {
    const item = value instanceof Refusal || isRead(value) ? value : parseItem(value);
    if (item instanceof Refusal) results[index] = item;
    else good.push({ index, item });
  }
  if (good.length === 0) return results;
  const end = performance.now() + base.timeoutMs;
  const timed: WithDeadline = (own) => ({
    ...own,
    timeoutMs: Math.max(0, end - performance.now()),
  });
  await Promise.all(
    partsOf(context, base, good).map(async (part) => {
      const done = await runPart(context, part, timed);
      part.items.forEach(({ index }, at) => {
        results[index] = done[at] ?? invalidResponse(base.model.id);
      });
    }),
  );
  return results;
}

/**
 * Runs a batch one request at a time: a shadow copy must not use more of an arm than one request.
 * @throws the error of the first item that fails
 */
export async function inferSequentially(
  context: InferenceContext,
  base: CallOptions,
  items: readonly BatchItem[],
): Promise<readonly InferenceResult[]> {
  const placed = items.map((item, index) => ({ item, index }));
  const together = takesChunks(base) ? await callChunk(context, base, placed) : undefined;
  const results: ItemResult[] = [...(together ?? [])];
  if (together === undefined) {
    for (const item of items) results.push(await infer(context, { ...base, items: 1 }, item));
  }
  const failed = results.find((one) => one instanceof Refusal);
  if (failed !== undefined) throw failed;
  return results as InferenceResult[];
}
