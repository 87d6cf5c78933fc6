/** The memory limit for requests, of the service or of this caller, is reached. */
export class MemoryFull extends Error {
  override readonly name = 'MemoryFull';
  constructor(readonly share: HeldShare) {
    super(
      share === 'caller'
        ? 'your requests in flight hold as much memory as one caller may; wait for some of them, or send less at a time'
        : 'the requests in flight hold as much memory as the service may; try again later, or send less at a time',
    );
  }
}

/** Which limit was reached. */
export type HeldShare = 'service' | 'caller';

/** Part of the limit that one caller may hold. */
const CALLER_PART = 0.5;

/** Memory of one request: its bodies and responses. */
export interface Holding {
  /** Attributes it to this caller: the name of its key, else its address. */
  readonly belongsTo: (caller: string) => void;
  /** Reserves memory. @throws MemoryFull when the limit is reached; nothing is reserved then */
  readonly take: (bytes: number) => void;
  /** Returns memory. */
  readonly give: (bytes: number) => void;
  /** Returns all memory at the end of the request. */
  readonly release: () => void;
  /** Calls back at the end of the request. */
  readonly onRelease: (leave: () => void) => void;
}

/** Memory of one body. */
export type Reservation = Pick<Holding, 'take' | 'give'>;

/** For bodies that are not counted. */
export const UNCOUNTED: Reservation = { take: () => undefined, give: () => undefined };

interface HeldCaller {
  readonly name: string;
  bytes: number;
  requests: number;
}

class RequestHolding implements Holding {
  private bytes = 0;
  private caller: HeldCaller | undefined;
  private isOver = false;
  private onOver: (() => void) | undefined;

  constructor(
    private readonly ledger: HeldBytes,
    private name: string,
  ) {}

  belongsTo(caller: string): void {
    if (caller === this.name) return;
    const { bytes } = this;
    this.leave();
    this.name = caller;
    // Bytes read before the caller was known are moved without a check.
    if (bytes > 0) this.put(bytes);
  }

  take(bytes: number): void {
    // Bytes that arrive after the end are discarded, so they are not counted.
    if (bytes === 0 || this.isOver) return;
    this.ledger.check(this.caller ?? this.name, bytes);
    this.put(bytes);
  }

  private put(bytes: number): void {
    this.caller ??= this.ledger.enter(this.name);
    this.bytes += bytes;
    this.ledger.add(this.caller, bytes);
  }

  give(bytes: number): void {
    if (this.caller === undefined) return;
    const given = Math.min(bytes, this.bytes);
    this.bytes -= given;
    this.ledger.add(this.caller, -given);
  }

  release(): void {
    this.isOver = true;
    this.leave();
    const { onOver } = this;
    this.onOver = undefined;
    onOver?.();
  }

  onRelease(leave: () => void): void {
    if (this.isOver) return leave();
    const before = this.onOver;
    this.onOver = () => {
      before?.();
      leave();
    };
  }

  private leave(): void {
    const { caller } = this;
    if (caller === undefined) return;
    this.give(this.bytes);
    this.caller = undefined;
    this.ledger.leave(caller);
  }
}

/** Bytes in memory for all requests together, and for each caller. */
export class HeldBytes {
  bytes = 0;
  readonly refused: Record<HeldShare, number> = { service: 0, caller: 0 };
  private readonly callers = new Map<string, HeldCaller>();

  constructor(readonly max: number) {}

  /** For a new request; it holds no memory yet. */
  of(caller: string): Holding {
    return new RequestHolding(this, caller);
  }

  /** @throws MemoryFull */
  check(caller: HeldCaller | string, bytes: number): void {
    const own = typeof caller === 'string' ? this.callers.get(caller)?.bytes : caller.bytes;
    if ((own ?? 0) + bytes > this.max * CALLER_PART) throw this.full('caller');
    if (this.bytes + bytes > this.max) throw this.full('service');
  }

  private full(share: HeldShare): MemoryFull {
    this.refused[share] += 1;
    return new MemoryFull(share);
  }

  enter(name: string): HeldCaller {
    let caller = this.callers.get(name);
    if (caller === undefined) {
      caller = { name, bytes: 0, requests: 0 };
      this.callers.set(name, caller);
    }
    caller.requests += 1;
    return caller;
  }

  add(caller: HeldCaller, bytes: number): void {
    caller.bytes += bytes;
    this.bytes += bytes;
  }

  leave(caller: HeldCaller): void {
    caller.requests -= 1;
    if (caller.requests === 0) this.callers.delete(caller.name);
  }
}

const MIB = 1024 * 1024;
/** With more, the garbage collector and the connections would lack memory. */
const MOST_BYTES = 256 * MIB;
const MEMORY_PART = 4;

/**
 * The memory that this process may use.
 * @param constrained `process.constrainedMemory()`: of the cgroup, v1 or v2; 0, or more than the
 * machine has: no limit is set
 * @param total of the machine
 */
export function memoryOf(constrained: number, total: number): number {
  return constrained > 0 && constrained < total ? constrained : total;
}

/** Default for the bytes that all requests together may hold. */
export function defaultHeldBytes(memory: number): number {
  return Math.min(MOST_BYTES, Math.floor(memory / MEMORY_PART));
}
