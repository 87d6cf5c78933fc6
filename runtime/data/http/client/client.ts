import type { ResponseHandler, HttpResult } from '../exchange';
import type { ClientRequest } from './request-writer';
import type { ConnectionOwner } from './client-connection';
import { ClientConnection } from './client-connection';
import { ClientSocket } from './client-socket';
import { POOL_BUFFER_BYTES } from '../buffers/buffer-pool';

/** How connections to servers are made and kept. */
export interface ClientOptions {
  readonly connectMs: number;
  /** Idle connections that are older are closed. */
  readonly idleMs: number;
  /** Idle connections that are kept to one server: a burst larger than this opens new ones. */
  readonly maxIdle: number;
}

export const DEFAULT_CLIENT: ClientOptions = {
  // A server on the same network answers a handshake in a millisecond, or it is gone.
  connectMs: 500,
  // Shorter than the keep-alive of any server we know (node:http: 5 s), so that we close first.
  idleMs: 4000,
  maxIdle: 64,
};

/** Interval of the check for idle connections, milliseconds. */
const SWEEP_MS = 1000;
/**
 * A request that must not run twice cannot be sent again when the server closes the connection at
 * that very moment. So it takes one that was used just now, which no server closes, or a new one.
 */
const FRESH_MS = 250;

/** Where a server listens. */
export type ServerAddress = (
  | { readonly host: string; readonly port: number }
  /** A socket in the file system. */
  | { readonly path: string }
) & {
  /** `host:port`, if the caller of `send` has it already. */
  readonly address?: string;
};

export interface HttpClient {
  readonly send: (address: ServerAddress, request: ClientRequest, handler: ResponseHandler) => void;
  readonly close: () => void;
}

const keyOf = (address: ServerAddress): string =>
  address.address ?? ('path' in address ? address.path : `${address.host}:${address.port}`);

/** Connections that are kept, the one used last first: it is warm, the others may go idle and close. */
class IdleConnections {
  constructor(private readonly options: ClientOptions) {}

  private readonly stacks = new Map<string, ClientConnection[]>();
  private timer: NodeJS.Timeout | undefined;

  /** @param maxMs it has not been idle for longer */
  take(key: string, maxMs: number): ClientConnection | undefined {
    const stack = this.stacks.get(key);
    const last = stack?.at(-1);
    if (last === undefined || !this.isFresh(last, maxMs)) return undefined;
    return stack?.pop();
  }

  private isFresh({ idleSince, serverKeepAliveMs }: ClientConnection, maxMs: number): boolean {
    return performance.now() - idleSince < Math.min(maxMs, serverKeepAliveMs, this.options.idleMs);
  }

  add(key: string, connection: ClientConnection): void {
    const stack = this.stacks.get(key);
    if (stack === undefined) this.stacks.set(key, [connection]);
    else if (stack.length >= this.options.maxIdle) return connection.close();
    else stack.push(connection);
    this.timer ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  remove(key: string, connection: ClientConnection): void {
    const stack = this.stacks.get(key);
    const at = stack?.indexOf(connection) ?? -1;
    if (at >= 0) stack?.splice(at, 1);
    if (stack?.length === 0) this.stacks.delete(key);
  }

  private sweep(): void {
    for (const stack of this.stacks.values()) {
      for (const one of stack.filter((kept) => !this.isFresh(kept, Infinity))) one.close();
    }
    if (this.stacks.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const stack of this.stacks.values()) for (const one of stack) one.close();
  }
}

/**
 * One read buffer for all sockets; bytes that are kept must be copied. A buffer for each read costs
 * more than the read.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(POOL_BUFFER_BYTES);

function connect(
  address: ServerAddress,
  owner: ConnectionOwner,
  connectMs: number,
): ClientConnection {
  const where =
    'path' in address ? { path: address.path } : { host: address.host, port: address.port };
  const onread = {
    buffer: READ_BUFFER,
    callback: (size: number): boolean => {
      connection.onData(READ_BUFFER.subarray(0, size));
      return true;
    },
  };
  const socket = new ClientSocket(onread);
  socket.connect(where);
  const connection = new ClientConnection(socket, owner, connectMs);
  return connection;
}

/** A server that took a request, broke the connection and no longer listens may have died of it. */
function markAfterReset(handler: ResponseHandler): ResponseHandler {
  return {
    onResponse: (answer) => handler.onResponse(answer),
    onRequestSent: () => handler.onRequestSent?.(),
    onFailure: (why) => handler.onFailure(why.kind === 'unreached' ? { ...why, broke: true } : why),
  };
}

/** An HTTP/1.1 client for servers nearby: connections are kept, answers are read strictly. */
export function createHttpClient(options: ClientOptions = DEFAULT_CLIENT): HttpClient {
  const idle = new IdleConnections(options);
  const all = new Set<ClientConnection>();
  const opened = (address: ServerAddress, key: string): ClientConnection => {
    const owner: ConnectionOwner = {
      onFree: (one) => idle.add(key, one),
      onGone: (one) => {
        all.delete(one);
        idle.remove(key, one);
      },
      onStale: (request, handler, isSent) =>
        opened(address, key).send(request, isSent ? markAfterReset(handler) : handler),
    };
    const made = connect(address, owner, options.connectMs);
    all.add(made);
    return made;
  };
  const connectionFor = (
    address: ServerAddress,
    { repeatable, isAgain }: ClientRequest,
  ): ClientConnection => {
    const key = keyOf(address);
    const kept = isAgain === true ? undefined : idle.take(key, repeatable ? Infinity : FRESH_MS);
    return kept ?? opened(address, key);
  };
  return {
    send: (address, request, handler) => {
      if (request.signal.aborted) handler.onFailure({ kind: 'aborted' });
      else connectionFor(address, request).send(request, handler);
    },
    close: () => {
      idle.close();
      for (const one of all) one.close();
    },
  };
}

/** The response with its unread body, or the failure, as a promise. */
export function awaitResponse(send: (handler: ResponseHandler) => void): Promise<HttpResult> {
  return new Promise((resolve) => send({ onResponse: resolve, onFailure: resolve }));
}
