import type { Socket } from 'node:net';

/**
 * A connection that has asked nothing in this time makes room for a new one of its address; clients
 * that keep a connection in store open another. Milliseconds.
 */
const SILENT_MS = 1000;

/** How many connections one address may have. */
export interface AddressLimit {
  readonly max: number;
  /** Does this address speak for many callers? Then its connections are not counted. */
  readonly isExempt: (address: string) => boolean;
}

/** Connections of which no byte had come when they were looked at; when they came, the oldest first. */
type Silent = Map<Socket, number>;

interface AddressConnections {
  count: number;
  readonly silent: Silent;
}

/** Open connections by the address they come from. */
export class ConnectionsByAddress {
  /** Connections that were refused, or closed because another one of their address came. */
  refused = 0;
  private readonly byAddress = new Map<string, AddressConnections>();
  private readonly silent: Silent = new Map();

  constructor(private readonly limit: AddressLimit) {}

  /** May this connection stay? It is counted until it closes. */
  admit(socket: Socket, now = performance.now()): boolean {
    const { remoteAddress = '' } = socket;
    const own = this.of(remoteAddress);
    if (own.count >= this.limit.max && !this.limit.isExempt(remoteAddress)) {
      this.refused += 1;
      if (!closeOldest(own.silent, now)) return false;
    }
    own.count += 1;
    own.silent.set(socket, now);
    this.silent.set(socket, now);
    socket.once('close', () => this.remove(remoteAddress, own, socket));
    return true;
  }

  /** All connections that there may be are open, and one was refused: the next one finds a place. */
  makeRoom(now = performance.now()): void {
    this.refused += 1;
    closeOldest(this.silent, now);
  }

  private of(address: string): AddressConnections {
    let own = this.byAddress.get(address);
    if (own === undefined) {
      own = { count: 0, silent: new Map() };
      this.byAddress.set(address, own);
    }
    return own;
  }

  private remove(address: string, own: AddressConnections, socket: Socket): void {
    own.silent.delete(socket);
    this.silent.delete(socket);
    own.count -= 1;
    if (own.count === 0) this.byAddress.delete(address);
  }
}

/** @returns whether there was one that was silent for long enough */
function closeOldest(silent: Silent, now: number): boolean {
  for (const [socket, since] of silent) {
    if (socket.bytesRead > 0) {
      silent.delete(socket);
      continue;
    }
    if (now - since < SILENT_MS) return false;
    silent.delete(socket);
    socket.destroy();
    return true;
  }
  return false;
}
