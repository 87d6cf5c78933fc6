import { gunzip, inflate } from 'node:zlib';
import { promisify } from 'node:util';
import { badRequest, ServeError, shown } from './errors';
import type { IncomingMessage } from 'node:http';

const tooLarge = (limit: number): ServeError =>
  new ServeError(
    413,
    `the body has more than ${limit} bytes, which is the limit; send less at a time`,
  );

/** So much of a refused body is thrown away, so that its sender can finish and read the answer. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

/** Reads a request's body. Rejects with 413 as soon as it is too large. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    if (Number(request.headers['content-length'] ?? 0) > limit) reject(tooLarge(limit));
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      reject(tooLarge(limit));
      if (size > limit + MAX_DISCARDED_BYTES) request.destroy();
    });
    request.on('end', () => {
      const [first] = chunks;
      resolve(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks));
    });
    request.on('error', () => reject(new ServeError(499, 'the caller went away')));
  });
}

const INFLATERS = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

/** Inflates a body that was sent compressed. Rejects with 400, 413 or 415. */
export async function inflated(
  body: Buffer,
  encoding: string | undefined,
  limit: number,
): Promise<Buffer> {
  const name = encoding?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return body;
  if (name !== 'gzip' && name !== 'deflate') {
    throw new ServeError(
      415,
      `Content-Encoding is ${shown(encoding)}; gzip, deflate and identity are understood`,
    );
  }
  try {
    return await INFLATERS[name](body, { maxOutputLength: limit });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limit);
    throw badRequest(`the body is not ${name}, as its Content-Encoding says`);
  }
}
