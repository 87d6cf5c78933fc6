import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Readable } from 'node:stream';
import type { Exchange, RawHeaders, Sent } from '../exchange';
import { readBody } from '../../shared/body';

/** Also a GET is not `complete` before the parser has told so, one turn later. */
function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

function sendStream(
  response: ServerResponse,
  status: number,
  headers: RawHeaders,
  source: Readable,
): Promise<Sent> {
  // Its 'close' has been and gone: nobody would tell when this is over.
  if (response.destroyed) {
    source.destroy();
    return Promise.resolve('caller_gone');
  }
  response.writeHead(status, headers as string[]);
  // An event stream must not wait for the first kilobytes.
  response.flushHeaders();
  return new Promise((resolve) => {
    let ended = false;
    source.on('end', () => {
      ended = true;
    });
    source.on('error', () => {
      response.destroy();
      resolve('source_broke');
    });
    source.on('close', () => {
      if (ended) return;
      response.destroy();
      resolve('source_broke');
    });
    response.on('close', () => {
      source.destroy();
      resolve(response.writableFinished ? 'complete' : 'caller_gone');
    });
    source.pipe(response);
  });
}

/** An exchange on Node's own HTTP server. */
export function nodeExchange(request: IncomingMessage, response: ServerResponse): Exchange {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return {
    method: request.method ?? 'GET',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark),
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    remoteAddress: request.socket.remoteAddress ?? '',
    secure: (request.socket as TLSSocket).encrypted === true,
    signal: gone.signal,
    body: (limit) => readBody(request, limit),
    answer: (status, headers, body) => {
      if (response.destroyed || response.headersSent) return;
      const length = Buffer.byteLength(body);
      // A body that was not read to its end would be taken for the next request.
      const close = request.complete || !hasBody(request) ? [] : ['connection', 'close'];
      response.writeHead(status, [...headers, 'content-length', String(length), ...close]);
      response.end(body);
    },
    stream: (status, headers, source) => sendStream(response, status, headers, source),
  };
}
