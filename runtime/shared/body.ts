import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Reservation } from './held-bytes';
import { MemoryFull, UNCOUNTED } from './held-bytes';
import { joined } from './join-buffers';

/** A body beyond its limit; it is discarded. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
  constructor(readonly limit: number) {
    super(`the body has more than ${limit} bytes`);
  }
}

/** The caller is connected, but its body arrives too slowly. */
export class BodyTooSlow extends Error {
  override readonly name = 'BodyTooSlow';
  constructor() {
    super('the body of the request did not come in time');
  }
}

/** The caller disconnected in the middle of its body. */
export class BodyCutOff extends Error {
  override readonly name = 'BodyCutOff';
}

/**
 * Bytes of a refused body that are read and discarded, so that its sender can finish and read the
 * response.
 */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

/**
 * Reads a request's body. Rejects with BodyTooLarge as soon as it exceeds the limit, or with
 * BodyCutOff.
 */
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
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : joined(chunks)));
    request.on('error', () => reject(new BodyCutOff('the caller went away')));
    request.on('aborted', () => reject(new BodyCutOff('the caller went away')));
  });
}

const INFLATERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
] as const);

/** Supported values of Content-Encoding, for messages. */
export const ENCODINGS = 'gzip, deflate, br or identity';

/** `unknown`: the encoding is not supported; `broken`: the body is not in it. */
export type Inflated = Buffer | 'unknown' | 'broken';

/** Counts the output while it is produced: a small body may inflate to a large one. */
function inflatedBy(
  inflater: Transform,
  body: Buffer,
  limit: number,
  held: Reservation,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    inflater.on('data', (piece: Buffer) => {
      size += piece.length;
      if (size > limit) return void inflater.destroy(new BodyTooLarge(limit));
      try {
        held.take(piece.length);
        pieces.push(piece);
      } catch (error) {
        inflater.destroy(error as Error);
      }
    });
    inflater.on('end', () => resolve(joined(pieces)));
    inflater.on('error', reject);
    inflater.end(body);
  });
}

/**
 * Inflates a body off the event loop; the result is bounded as the body itself is.
 * Rejects with BodyTooLarge, MemoryFull.
 */
export async function inflatedBody(
  body: Buffer,
  encoding: string | undefined,
  limit: number,
  held: Reservation = UNCOUNTED,
): Promise<Inflated> {
  const name = encoding?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return body;
  const inflater = INFLATERS.get(name);
  if (inflater === undefined) return 'unknown';
  try {
    return await inflatedBy(inflater(), body, limit, held);
  } catch (error) {
    if (error instanceof BodyTooLarge || error instanceof MemoryFull) throw error;
    return 'broken';
  }
}
