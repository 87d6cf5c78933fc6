import type { IncomingMessage } from 'node:http';
import { BodyCutOff, BodyTooLarge, ENCODINGS, inflatedBody, readBody } from '../shared/body';
import { badRequest, ServeError, shown } from './errors';

function serveError(error: unknown): ServeError {
  if (error instanceof BodyTooLarge) {
    return new ServeError(413, `${error.message}, which is the limit; send less at a time`);
  }
  if (error instanceof BodyCutOff) return new ServeError(499, error.message);
  throw error;
}

/** A request's body, inflated if it was sent compressed. Rejects with 400, 413, 415 or 499. */
export async function bodyOf(request: IncomingMessage, limit: number): Promise<Buffer> {
  try {
    const encoding = request.headers['content-encoding'];
    const plain = await inflatedBody(await readBody(request, limit), encoding, limit);
    if (plain === 'broken') {
      throw badRequest(`the body is not ${encoding}, as its Content-Encoding says`);
    }
    if (plain !== 'unknown') return plain;
    throw new ServeError(
      415,
      `Content-Encoding is ${shown(encoding)}; ${ENCODINGS} are understood`,
    );
  } catch (error) {
    throw error instanceof ServeError ? error : serveError(error);
  }
}
