import type { Priority } from '../../core/routing/outcome';
import { PRIORITIES } from '../../core/routing/outcome';
import type { Detail } from './refusal';
import { Refusal } from './refusal';
import type { ExactNumber } from './exact-json';
import { exactly, isNonFiniteWord, numberOf, writeJson } from './exact-json';
import type { JsonObject } from './body-json';
import { bounded, isJsonObject } from './body-json';
import type { V2Tensor } from './tensor';
import { sizeOf } from './tensor';
import { entryOf } from '../../../lib/spec/entry';

/** One thing to infer. */
export interface NativeItem {
  readonly input_data: JsonObject;
  readonly parameters?: JsonObject | undefined;
}

export interface NativeCall extends NativeItem {
  readonly timeoutMs: number | undefined;
  /** Undefined: the header or the default applies. */
  readonly priority: Priority | undefined;
}

export interface NativeBatch {
  readonly requests: readonly unknown[];
  readonly timeoutMs: number | undefined;
}

/** A number, or one for each row. */
export type ItemConfidence = Score | readonly Score[];

type Score = number | ExactNumber | null;

/** What a model made of one item. */
export interface NativeOutput {
  readonly output: unknown;
  readonly confidence: ItemConfidence;
}

const MAX_TIMEOUT_SECONDS = 300;

function detail(path: string, value: unknown, allowed: string): Detail {
  const text = value === undefined ? undefined : writeJson(value);
  const got = text === undefined ? undefined : text.length > 60 ? `${text.slice(0, 59)}…` : text;
  const head = got === undefined ? 'is missing' : `got ${got}`;
  return { path, message: `${head}, must be ${allowed}`, ...(got && { got }), allowed };
}

function itemFaults(item: JsonObject, prefix: string): readonly Detail[] {
  const { input_data: input, parameters } = item;
  return [
    ...(isJsonObject(input)
      ? []
      : [detail(`${prefix}input_data`, input, 'an object: input → value')]),
    ...(parameters === undefined || isJsonObject(parameters)
      ? []
      : [detail(`${prefix}parameters`, parameters, 'an object')]),
  ];
}

/** Unknown fields listed in an error at most. */
const MAX_STRAYS = 100;

function unknownFaults(body: JsonObject, known: readonly string[]): readonly Detail[] {
  return Object.keys(body)
    .filter((key) => !known.includes(key))
    .slice(0, MAX_STRAYS)
    .map((path) =>
      detail(path, entryOf(body, path), `left out: the fields are ${known.join(', ')}`),
    );
}

function timeoutFaults({ timeout }: JsonObject): readonly Detail[] {
  if (timeout === undefined) return [];
  const given = numberOf(timeout);
  const good = given !== undefined && given >= 1 && given <= MAX_TIMEOUT_SECONDS;
  return good
    ? []
    : [detail('timeout', timeout, `a number of seconds from 1 to ${MAX_TIMEOUT_SECONDS}`)];
}

function refuse(faults: readonly Detail[]): void {
  if (faults.length === 0) return;
  const message = faults.map(({ path, message: text }) => `${path}: ${text}`).join('; ');
  throw new Refusal('INVALID_REQUEST', message, { details: faults });
}

function millis(timeout: unknown): number | undefined {
  const seconds = numberOf(timeout);
  return seconds === undefined ? undefined : seconds * 1000;
}

/** @throws Refusal with all faults */
export const parseCall = (body: JsonObject): NativeCall => bounded(() => callOf(body));

function callOf(body: JsonObject): NativeCall {
  const { priority } = body;
  const known = PRIORITIES.find((one) => one === priority);
  refuse([
    ...unknownFaults(body, ['input_data', 'parameters', 'timeout', 'priority']),
    ...itemFaults(body, ''),
    ...timeoutFaults(body),
    ...(known !== undefined || priority === undefined
      ? []
      : [detail('priority', priority, `one of ${PRIORITIES.join(', ')}`)]),
  ]);
  return {
    input_data: body['input_data'] as JsonObject,
    parameters: body['parameters'] as JsonObject | undefined,
    timeoutMs: millis(body['timeout']),
    priority: known,
  };
}

/** Items are checked one by one later: a bad one must not fail the others. @throws Refusal */
export const parseBatch = (body: JsonObject, maxItems: number): NativeBatch =>
  bounded(() => batchOf(body, maxItems));

function batchOf(body: JsonObject, maxItems: number): NativeBatch {
  const { requests } = body;
  const list = Array.isArray(requests) && requests.length > 0 ? (requests as unknown[]) : undefined;
  refuse([
    ...unknownFaults(body, ['requests', 'timeout']),
    ...(list ? [] : [detail('requests', requests, 'a list of at least one {input_data}')]),
    ...timeoutFaults(body),
  ]);
  const count = list?.length ?? 0;
  if (count > maxItems) {
    throw new Refusal(
      'PAYLOAD_TOO_LARGE',
      `requests: got ${count} items, at most ${maxItems} are allowed (inference.max_batch_size); send several batches`,
    );
  }
  return { requests: list ?? [], timeoutMs: millis(body['timeout']) };
}

/** An item of a batch, or what is wrong with it. */
export function parseItem(value: unknown): NativeItem | Refusal {
  const item = isJsonObject(value) ? value : {};
  const known = ['input_data', 'parameters'];
  try {
    bounded(() => refuse([...itemFaults(item, ''), ...unknownFaults(item, known)]));
    return item as unknown as NativeItem;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

// The confidence of an output: its `confidence`, else the largest of `probabilities`. A call of
// several rows has one per row.

/** Null for values that JSON cannot express as a number. */
function scoreOf(value: unknown): Score {
  const number = numberOf(value);
  return number === undefined || !Number.isFinite(number) ? null : exactly(number);
}

/** Without `Math.max(...)`: a vocabulary is larger than the limit on arguments. */
export function largest(values: readonly unknown[]): Score {
  let best: Score = null;
  for (const value of values) {
    const score = scoreOf(value);
    if (score !== null && (best === null || Number(score) > Number(best))) best = score;
  }
  return best;
}

const isScores = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) &&
  value.every((one) => one === null || isNonFiniteWord(one) || numberOf(one) !== undefined);

/** Confidence of an output with named fields. */
export function confidenceOf(output: unknown): Score {
  if (!isJsonObject(output)) return null;
  const { confidence, probabilities } = output;
  if (numberOf(confidence) !== undefined) return scoreOf(confidence);
  if (isJsonObject(probabilities)) return largest(Object.values(probabilities));
  return Array.isArray(probabilities) ? largest(probabilities) : null;
}

/** Confidence per row of a call of several rows, from tensors with that many rows. */
export function rowConfidence(tensors: readonly V2Tensor[], rows: number): ItemConfidence {
  const rowsOf = (name: string, isAlone: boolean): readonly (readonly unknown[])[] | undefined => {
    const found = tensors.find((tensor) => tensor.name === name && tensor.shape[0] === rows);
    const size = sizeOf(found?.shape.slice(1) ?? []);
    if (found === undefined || (isAlone && size !== 1)) return undefined;
    return Array.from({ length: rows }, (_, row) => found.data.slice(row * size, (row + 1) * size));
  };
  return (rowsOf('confidence', true) ?? rowsOf('probabilities', false))?.map(largest) ?? null;
}

/** `{result, confidence}` of a server that speaks native. */
export function readResult(answer: unknown): NativeOutput | undefined {
  if (!isJsonObject(answer) || !('result' in answer)) return undefined;
  const { result, confidence }: JsonObject = answer;
  if (numberOf(confidence) !== undefined)
    return { output: result, confidence: scoreOf(confidence) };
  if (isScores(confidence)) return { output: result, confidence: confidence.map(scoreOf) };
  return { output: result, confidence: confidenceOf(result) };
}

/** One result of a batch: the output of the item, or its error. */
export function readItem(value: unknown): NativeOutput | Refusal | undefined {
  const { error } = isJsonObject(value) ? value : {};
  if (error === undefined) return readResult(value);
  const message = isJsonObject(error) ? error['message'] : error;
  return new Refusal('INVALID_REQUEST', typeof message === 'string' ? message : 'refused');
}
