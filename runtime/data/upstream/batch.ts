import { chunksOf, lanesOf } from '../../core/routing/batch-chunks';
import type { UpstreamRequest, CallOptions, BufferedResponse } from './call';
import { callBuffered, CallerGone } from './call';
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

/** What became of one item; never a rejection. */
export type ItemResult = InferenceResult | Refusal;

export type BatchItem = NativeItem | LargeItem;

/** An item with its place in the batch. */
interface IndexedItem {
  readonly index: number;
  readonly item: BatchItem;
}

/** Consecutive items, and the slots they may use when they have to go one by one. */
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

/** The table was swapped meanwhile, and the arm has another server now; or no body holds them all. */
class OneAtATime extends Error {}

const isAsText = (item: BatchItem): boolean =>
  item instanceof LargeItem || item instanceof SplicedCall;

/** @throws OneAtATime when one of them is nested too deeply: it alone is told so */
function bodyOf(chunk: readonly IndexedItem[]): Buffer | Promise<Buffer> {
  const items = chunk.map(({ item }) => item);
  try {
    if (!items.some(isAsText)) return Buffer.from(writeStrict({ requests: items }));
    const parts = items.flatMap((one, at) => [Buffer.from(at === 0 ? '' : ','), itemBytes(one)]);
    return joined([Buffer.from('{"requests":['), ...parts, Buffer.from(']}')]);
  } catch (error) {
    throw error instanceof RangeError ? new OneAtATime() : error;
  }
}

/** One call for several items, where the server takes that. Undefined: it has to be one by one. */
async function callChunk(
  context: InferenceContext,
  base: CallOptions,
  chunk: readonly IndexedItem[],
): Promise<readonly ItemResult[] | undefined> {
  const { id } = base.model;
  const reply = await callBuffered(context, { ...base, items: chunk.length }, ({ arm }) => {
    const target = nativeTarget(arm, id, 'batch_inference');
    if (target === undefined) throw new OneAtATime();
    const put = (body: Buffer): UpstreamRequest => ({ method: 'POST', target, body });
    const body = bodyOf(chunk);
    return body instanceof Promise ? body.then(put) : put(body);
  }).catch((error: unknown) => {
    if (error instanceof OneAtATime) return undefined;
    throw error;
  });
  if (reply === undefined) return undefined;
  const { status } = reply;
  // One item may have spoiled the call for all, or crashed it: each gets its own.
  const spoiled = (status >= 400 && status < 500) || status === 500;
  if (spoiled && chunk.length > 1) return undefined;
  if (status >= 300) throw refusalOf(reply, id);
  if (isLarge(reply.body)) return largeResults(context, base, reply, chunk.length);
  const answer = parsedText(answerText(reply, id));
  const results = isJsonObject(answer) ? answer['results'] : undefined;
  if (!Array.isArray(results) || results.length !== chunk.length) throw invalidResponse(id);
  const from = { arm: reply.arm.name, version: reply.replica.version };
  return results.map((value) => itemResult(value, from, id));
}

/** The same of an answer that is large. @throws Refusal */
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

/** Do all arms that may be chosen take several items in one call? */
function takesChunks({ model: { arms, id }, arm: named, planned }: CallOptions): boolean {
  const only = named ?? planned?.arm;
  return [...arms.values()]
    .filter(({ name }) => only === undefined || name === only)
    .every((arm) => nativeTarget(arm, id, 'batch_inference') !== undefined);
}

/** Calls for each item, as many at a time as there are lanes: a batch leaves the queue to others. */
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

/** All that is done for a batch has one deadline. */
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
    const isOver = own.timeoutMs === 0;
    const result = isOver ? tooLate() : await infer(context, own, placed.item).catch(asRefusal);
    results.set(placed, result);
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

/** The arm of the whole batch is decided here, once, and what each of its replicas gets. */
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

/** Was it looked at where the batch was? */
const isRead = (value: unknown): value is BatchItem =>
  value instanceof LargeItem || value instanceof SplicedCall;

/**
 * A batch over the replicas of one arm: order kept, an error per item, and no item fails another.
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
 * A batch as one request at a time, for a copy must not take more of an arm than its one request.
 * @throws what the first item that fails fails with
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
