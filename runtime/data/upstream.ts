import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:http';
import type { TryResult } from '../core/outcome';
import type { Replica } from '../core/table';
import type { RawHeaders } from './exchange';

/** How connections to model servers are kept. */
export interface UpstreamOptions {
  readonly connectMs: number;
  readonly idleMs: number;
  readonly maxIdlePerReplica: number;
}

/** A server on the same network answers a handshake in a millisecond, or it is gone. */
const CONNECT_MS = 500;
/** Shorter than the keep-alive of any server we know (node:http: 5 s), so that we close first. */
const IDLE_MS = 4000;
/** Idle connections that are kept to one replica: a burst larger than this opens new ones. */
const MAX_IDLE_PER_REPLICA = 64;
const MAX_HEADER_BYTES = 16_384;

export const DEFAULT_UPSTREAM: UpstreamOptions = {
  connectMs: CONNECT_MS,
  idleMs: IDLE_MS,
  maxIdlePerReplica: MAX_IDLE_PER_REPLICA,
};

/** One request to one replica. */
export interface Sending {
  readonly replica: Replica;
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly headers: RawHeaders;
  readonly body: Buffer | undefined;
  /** Milliseconds until the first byte, and then between bytes. */
  readonly timeoutMs: number;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
}

export type Answered = {
  readonly kind: 'answered';
  readonly status: number;
  readonly rawHeaders: RawHeaders;
  readonly headers: IncomingMessage['headers'];
  readonly body: IncomingMessage;
};

export type UpstreamResult = Answered | Exclude<TryResult, { kind: 'answered' }>;

/** Sends requests to model servers over connections that are kept. */
export interface Upstream {
  /** Resolves with the status line and an unread body, or with why there is none. Never rejects. */
  readonly send: (sending: Sending) => Promise<UpstreamResult>;
  readonly close: () => void;
}

class Timeout extends Error {}
class ConnectTimeout extends Error {}

type Failure = Exclude<TryResult, { kind: 'answered' }>;

/** Nothing reached the server when the connection never stood. */
function failureOf(error: NodeJS.ErrnoException, connected: boolean, signal: AbortSignal): Failure {
  if (signal.aborted) return { kind: 'aborted' };
  if (error instanceof Timeout) return { kind: 'timeout' };
  const message = error.code ?? error.message;
  if (error instanceof ConnectTimeout) return { kind: 'unreached', message: 'connect timeout' };
  if (!connected) return { kind: 'unreached', message };
  return error.code?.startsWith('HPE_') === true
    ? { kind: 'protocol', message }
    : { kind: 'reset', message };
}

/** True as soon as the connection stands; a reused one stands from the start. */
function watchConnect(sent: ClientRequest, connectMs: number): () => boolean {
  let connected = false;
  sent.once('socket', (socket) => {
    if (!socket.connecting) {
      connected = true;
      return;
    }
    const timer = setTimeout(() => sent.destroy(new ConnectTimeout()), connectMs);
    socket.once('connect', () => {
      connected = true;
      clearTimeout(timer);
    });
    socket.once('close', () => clearTimeout(timer));
  });
  return () => connected;
}

/** Ends a body that stays silent for too long. */
function guardBody(body: IncomingMessage, timeoutMs: number): void {
  let timer = setTimeout(() => body.destroy(new Timeout()), timeoutMs);
  body.on('data', () => timer.refresh());
  body.on('close', () => clearTimeout(timer));
  // Listening for data must not start it before someone reads.
  body.pause();
}

function start(agent: Agent, connectMs: number, sending: Sending): Promise<UpstreamResult> {
  const { replica, method, target, headers, body, timeoutMs, signal } = sending;
  return new Promise((resolve) => {
    const sent = request({
      host: replica.host,
      port: replica.port,
      path: target,
      method,
      agent,
      maxHeaderSize: MAX_HEADER_BYTES,
      headers: [
        'host',
        replica.address,
        ...headers,
        ...(body === undefined ? [] : ['content-length', String(body.length)]),
        'x-ai-model-deadline-ms',
        String(Math.ceil(timeoutMs)),
      ],
    });
    const isConnected = watchConnect(sent, connectMs);
    const timer = setTimeout(() => sent.destroy(new Timeout()), timeoutMs);
    const abort = (): void => void sent.destroy();
    signal.addEventListener('abort', abort, { once: true });
    const settle = (result: UpstreamResult): void => {
      clearTimeout(timer);
      resolve(result);
    };
    sent.on('error', (error) => settle(failureOf(error, isConnected(), signal)));
    sent.on('close', () => signal.removeEventListener('abort', abort));
    sent.on('response', (answer) => {
      const { statusCode = 0, rawHeaders, headers: named } = answer;
      if (statusCode < 200) {
        sent.destroy();
        return settle({ kind: 'protocol', message: `status ${statusCode}` });
      }
      guardBody(answer, timeoutMs);
      settle({ kind: 'answered', status: statusCode, rawHeaders, headers: named, body: answer });
    });
    sent.end(body);
  });
}

export function createUpstream(options: UpstreamOptions = DEFAULT_UPSTREAM): Upstream {
  const { connectMs, idleMs, maxIdlePerReplica } = options;
  const agent = new Agent({
    keepAlive: true,
    timeout: idleMs,
    maxFreeSockets: maxIdlePerReplica,
    // The one used last is warm; the others may go idle and close.
    scheduling: 'lifo',
  });
  return {
    send: async (sending) =>
      sending.signal.aborted ? { kind: 'aborted' } : start(agent, connectMs, sending),
    close: () => agent.destroy(),
  };
}

/**
 * The rest of an answer in one buffer; what is wrong with it otherwise.
 * @param timeoutMs for all of it: a server that drips must not outlive the request
 */
export function readAll(
  { body }: Answered,
  limit: number,
  timeoutMs: number,
): Promise<Buffer | Exclude<TryResult, { kind: 'answered' }>> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => body.destroy(new Timeout()), timeoutMs);
    body.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      body.destroy();
      resolve({ kind: 'protocol', message: `the answer has more than ${limit} bytes` });
    });
    body.on('end', () => resolve(Buffer.concat(chunks)));
    body.on('error', (error) => {
      const late = error instanceof Timeout;
      resolve(late ? { kind: 'timeout' } : { kind: 'reset', message: error.message });
    });
    body.on('close', () => {
      clearTimeout(timer);
      resolve({ kind: 'reset', message: 'the answer was cut off' });
    });
    body.resume();
  });
}
