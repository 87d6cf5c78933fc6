import type { ArmRoute, ModelRoute } from '../core/table';
import type { CallBase } from './calling';
import { callBuffered, CallerGone } from './calling';
import { Refusal } from './errors';
import type { Inferred, Inferring } from './infer';
import { infer, noAnswer, parsedAnswer, refusalOf } from './infer';
import { writeJson } from './protocols/exact';
import { isPlain } from './protocols/json';
import type { NativeItem } from './protocols/native';
import { parseItem, readItem } from './protocols/native';
import { nativeTarget } from './protocols/target';

/** What became of one item; never a rejection. */
export type ItemResult = Inferred | Refusal;

/** An item with its place in the batch. */
interface Placed {
  readonly index: number;
  readonly item: NativeItem;
}

const readyOf = ({ replicas }: ArmRoute): number =>
  replicas.filter(({ terminating }) => !terminating).length;

/** As many parts as there are replicas to work at once; the arm is chosen later, all have about as many. */
function chunkCount(model: ModelRoute, items: number): number {
  const most = Math.max(1, ...[...model.arms.values()].map(readyOf));
  return Math.min(items, most);
}

/** `[0 1 2 3 4]` in 2 → `[0 1 2] [3 4]` */
function chunksOf(items: readonly Placed[], count: number): readonly (readonly Placed[])[] {
  const size = Math.ceil(items.length / Math.max(1, count));
  const starts = Array.from({ length: Math.ceil(items.length / size) }, (_, at) => at * size);
  return starts.map((start) => items.slice(start, start + size));
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof CallerGone) throw error;
  return new Refusal('INTERNAL', 'the item failed inside the router');
}

function itemResult(value: unknown, from: Pick<Inferred, 'arm' | 'version'>, model: string) {
  const output = readItem(value);
  if (output === undefined) return noAnswer(model);
  return output instanceof Refusal ? output : { ...output, ...from };
}

/** The table was swapped meanwhile, and the arm has another server now. */
class OneAtATime extends Error {}

/** One call for several items, where the server takes that. Undefined: it has to be one by one. */
async function callChunk(
  inferring: Inferring,
  base: CallBase,
  chunk: readonly Placed[],
): Promise<readonly ItemResult[] | undefined> {
  const { id } = base.model;
  const reply = await callBuffered(inferring, { ...base, items: chunk.length }, ({ arm }) => {
    const target = nativeTarget(arm, id, 'batch_inference');
    if (target === undefined) throw new OneAtATime();
    const body = writeJson({ requests: chunk.map(({ item }) => item) });
    return { method: 'POST', target, body: Buffer.from(body) };
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
  const answer = parsedAnswer(reply);
  const results = isPlain(answer) ? answer['results'] : undefined;
  if (!Array.isArray(results) || results.length !== chunk.length) throw noAnswer(id);
  const from = { arm: reply.arm.name, version: reply.replica.version };
  return results.map((value) => itemResult(value, from, id));
}

/** Do all arms that may be chosen take several items in one call? */
function takesChunks({ model: { arms, id }, arm: named }: CallBase): boolean {
  return [...arms.values()]
    .filter(({ name }) => named === undefined || name === named)
    .every((arm) => nativeTarget(arm, id, 'batch_inference') !== undefined);
}

async function oneByOne(inferring: Inferring, base: CallBase, chunk: readonly Placed[]) {
  return Promise.all(
    chunk.map(({ item }) => infer(inferring, { ...base, items: 1 }, item).catch(asRefusal)),
  );
}

async function runChunk(
  inferring: Inferring,
  base: CallBase,
  chunk: readonly Placed[],
): Promise<readonly ItemResult[]> {
  if (!takesChunks(base)) return oneByOne(inferring, base, chunk);
  try {
    const results = await callChunk(inferring, base, chunk);
    return results ?? (await oneByOne(inferring, base, chunk));
  } catch (error) {
    const refusal = asRefusal(error);
    return chunk.map(() => refusal);
  }
}

/**
 * A batch over the replicas of one arm: order kept, an error per item, and no item fails another.
 * @throws CallerGone
 */
export async function inferBatch(
  inferring: Inferring,
  base: CallBase,
  requests: readonly unknown[],
): Promise<readonly ItemResult[]> {
  const results: ItemResult[] = [];
  const good: Placed[] = [];
  for (const [index, value] of requests.entries()) {
    const item = parseItem(value);
    if (item instanceof Refusal) results[index] = item;
    else good.push({ index, item });
  }
  if (good.length === 0) return results;
  const chunks = chunksOf(good, chunkCount(base.model, good.length));
  await Promise.all(
    chunks.map(async (chunk) => {
      const done = await runChunk(inferring, base, chunk);
      chunk.forEach(({ index }, at) => {
        results[index] = done[at] ?? noAnswer(base.model.id);
      });
    }),
  );
  return results;
}

/**
 * A batch as one request at a time, for a copy must not take more of an arm than its one request.
 * @throws what the first item that fails fails with
 */
export async function inferInTurn(
  inferring: Inferring,
  base: CallBase,
  items: readonly NativeItem[],
): Promise<readonly Inferred[]> {
  const placed = items.map((item, index) => ({ item, index }));
  const together = takesChunks(base) ? await callChunk(inferring, base, placed) : undefined;
  const results: ItemResult[] = [...(together ?? [])];
  if (together === undefined) {
    for (const item of items) results.push(await infer(inferring, { ...base, items: 1 }, item));
  }
  const failed = results.find((one) => one instanceof Refusal);
  if (failed !== undefined) throw failed;
  return results as Inferred[];
}
