import { ENCODINGS, inflatedBody } from '../../shared/body';
import type { Holding } from '../../shared/held-bytes';
import { NotUtf8, textOf } from '../../shared/utf8';
import { Refusal } from './refusal';
import { ExactNumber, readLoose } from './exact-json';
import { isObject } from '../../../lib/spec/entry';

export type JsonObject = Readonly<Record<string, unknown>>;

export const isJsonObject = (value: unknown): value is JsonObject =>
  isObject(value) && !(value instanceof ExactNumber);

/** Inflates a body; the result is bounded as the body itself is. @throws Refusal, BodyTooLarge, MemoryFull */
export async function inflated(
  body: Buffer,
  encoding: string | undefined,
  limit: number,
  held?: Holding,
): Promise<Buffer> {
  const plain = await inflatedBody(body, encoding, limit, held);
  if (plain === 'broken') {
    throw new Refusal('INVALID_REQUEST', `the body is not what Content-Encoding ${encoding} says`);
  }
  if (plain !== 'unknown') return plain;
  throw new Refusal(
    'UNSUPPORTED_MEDIA_TYPE',
    `Content-Encoding: got "${encoding}", must be ${ENCODINGS}`,
  );
}

/** The text of a body. @throws Refusal when it is not UTF-8 */
export function bodyText(body: Buffer): string {
  try {
    return textOf(body);
  } catch (error) {
    if (!(error instanceof NotUtf8)) throw error;
    throw new Refusal('INVALID_REQUEST', `the body is ${error.message}`);
  }
}

/** @throws Refusal when it is not a JSON object; NaN and infinities pass */
export function parseObject(body: Buffer): JsonObject {
  return parseText(bodyText(body));
}

/** @throws Refusal when it is not a JSON object */
export function parseText(text: string, read: (text: string) => unknown = readLoose): JsonObject {
  let value: unknown;
  try {
    value = read(text);
  } catch (error) {
    throw new Refusal('INVALID_REQUEST', `the body is not JSON: ${(error as Error).message}`);
  }
  if (isJsonObject(value)) return value;
  throw new Refusal('INVALID_REQUEST', 'the body must be a JSON object; see /docs');
}

/**
 * Runs a recursive function on parsed values.
 * @throws Refusal when the values are nested too deeply for the stack
 */
export function bounded<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal(
      'INVALID_REQUEST',
      'the body is nested too deeply, or under too long names, to be transcoded',
    );
  }
}

/** Bytes of a server's error that are read. */
const MAX_ERROR_BYTES = 16_384;

/** The message in a server's error body, in any of the usual shapes. */
export function serverMessage(given: Buffer): string {
  const body = given.subarray(0, MAX_ERROR_BYTES);
  const text = body.toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value)) return text;
    const { error, message, detail } = value;
    const inner = isJsonObject(error) ? error['message'] : error;
    return [inner, message, detail].find((one) => typeof one === 'string') ?? text;
  } catch {
    return text;
  }
}
