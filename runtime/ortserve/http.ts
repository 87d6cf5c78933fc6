import type { IncomingMessage, ServerResponse } from 'node:http';
import { gunzipSync, inflateSync } from 'node:zlib';
import { badRequest, ServeError, shown } from './errors';

/** An answer to be written. */
export interface Answer {
  readonly status: number;
  readonly body: Buffer | string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const json = (body: string, headers: Answer['headers'] = {}): Answer => ({
  status: 200,
  body,
  headers: { 'content-type': 'application/json', ...headers },
});

const tooLarge = (limit: number): ServeError =>
  new ServeError(413, `the body has more than ${limit} bytes; send less, or fewer rows at a time`, {
    connection: 'close',
  });

/** @throws ServeError 413 as soon as it is too large */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    if (Number(request.headers['content-length'] ?? 0) > limit) {
      request.resume();
      return reject(tooLarge(limit));
    }
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else reject(tooLarge(limit));
    });
    request.on('end', () =>
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)),
    );
    request.on('error', reject);
    request.on('aborted', () => reject(new ServeError(499, 'the caller went away')));
  });
}

/** Inflates what a client compressed. @throws ServeError 400, 413, 415 */
export function inflated(body: Buffer, encoding: string | undefined, limit: number): Buffer {
  const name = encoding?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity' || name === '') return body;
  if (name !== 'gzip' && name !== 'deflate') {
    throw new ServeError(415, `Content-Encoding is ${shown(encoding)}; must be gzip or deflate`);
  }
  try {
    const options = { maxOutputLength: limit };
    return name === 'gzip' ? gunzipSync(body, options) : inflateSync(body, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limit);
    throw badRequest(`the body is not ${name}, as its Content-Encoding says`);
  }
}

export function write(response: ServerResponse, { status, body, headers }: Answer): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
