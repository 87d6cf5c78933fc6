import type { IncomingMessage } from 'node:http';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { promisify } from 'node:util';

/** A body beyond its limit; nothing of it is kept. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
  constructor(readonly limit: number) {
    super(`the body has more than ${limit} bytes`);
  }
}

/** The caller is there, but what it sends comes too slowly. */
export class BodyTooSlow extends Error {
  override readonly name = 'BodyTooSlow';
  constructor() {
    super('the body of the request did not come in time');
  }
}

/** The caller went away in the middle of its body. */
export class BodyCutOff extends Error {
  override readonly name = 'BodyCutOff';
}

/** So much of a refused body is thrown away, so that its sender can finish and read the answer. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

/** Reads a request's body. Rejects with BodyTooLarge as soon as it is that, or with BodyCutOff. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    if (announced > limit) reject(new BodyTooLarge(limit));
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit && announced <= limit) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      reject(new BodyTooLarge(limit));
      if (size > limit + MAX_DISCARDED_BYTES) request.destroy();
    });
    request.on('end', () =>
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)),
    );
    request.on('error', () => reject(new BodyCutOff('the caller went away')));
    request.on('aborted', () => reject(new BodyCutOff('the caller went away')));
  });
}

const INFLATERS = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);

/** What Content-Encoding may say, for messages. */
export const ENCODINGS = 'gzip, deflate, br or identity';

/** `unknown`: we have no word for the encoding; `broken`: the body is not in it. */
export type Inflated = Buffer | 'unknown' | 'broken';

/**
 * Inflates a body off the event loop; the result is bounded as the body itself is.
 * Rejects with BodyTooLarge.
 */
export async function inflatedBody(
  body: Buffer,
  encoding: string | undefined,
  limit: number,
): Promise<Inflated> {
  const name = encoding?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return body;
  const inflater = INFLATERS.get(name);
  if (inflater === undefined) return 'unknown';
  try {
    return await inflater(body, { maxOutputLength: limit });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new BodyTooLarge(limit);
    return 'broken';
  }
}
