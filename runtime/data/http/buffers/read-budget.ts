import type { Socket } from 'node:net';

/**
 * libuv reads up to 2 MB from one connection in a round of the event loop, which is 350,000 chunks
 * of one byte, and each costs a tenth of a microsecond and more. After so many the connection is
 * paused until the next round; one read brings up to 11,000 more, so a round takes a few
 * milliseconds.
 */
export const ROUND_CHUNKS = 8192;

/** One read of a socket. */
export const READ_BYTES = 65_536;
/** Smaller reads are not counted: they are requests of the usual size, and counting has a price. */
const COUNTED_READ_BYTES = READ_BYTES / 2;
/**
 * What one round of the event loop reads from all large bodies together. To read a megabyte takes
 * about a millisecond, and a small request needs several rounds from head to answer.
 */
export const ROUND_BYTES = 16 * READ_BYTES;
/** The first reads of a message are not limited: to pause a connection costs more than they do. */
export const FREE_BYTES = 4 * READ_BYTES;
/** Connections that go on in one round, with one read each. */
const ROUND_CONNECTIONS = ROUND_BYTES / READ_BYTES;

/** Shares the rounds of the event loop among the connections that bring large bodies. */
class Rounds {
  /** Paused connections, in the order in which they go on. */
  private readonly waiting = new Set<ReadBudget>();
  private isScheduled = false;
  private bytes = 0;
  id = 0;

  /** @returns whether this round is spent for a connection that brought `own` bytes in it */
  add(bytes: number, own: number): boolean {
    this.schedule();
    this.bytes += bytes;
    return this.bytes >= ROUND_BYTES || own >= ROUND_BYTES / (this.waiting.size + 1);
  }

  wait(one: ReadBudget): void {
    this.waiting.add(one);
    this.schedule();
  }

  leave(one: ReadBudget): void {
    this.waiting.delete(one);
  }

  isWaiting(one: ReadBudget): boolean {
    return this.waiting.has(one);
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.next());
  }

  private next(): void {
    this.isScheduled = false;
    this.bytes = 0;
    this.id += 1;
    let resumed = 0;
    for (const one of this.waiting) {
      this.waiting.delete(one);
      one.goOn();
      resumed += 1;
      if (resumed === ROUND_CONNECTIONS) break;
    }
    if (this.waiting.size > 0) this.schedule();
  }
}

const rounds = new Rounds();

/** Limits what one connection brings in one round of the event loop: chunks and bytes. */
export class ReadBudget {
  private chunks = 0;
  private bytes = 0;
  private roundId = -1;
  /** Of the current message, by reads that are counted. */
  private messageBytes = 0;

  /** @param mayRead is the connection to be read when its next round begins? */
  constructor(
    private readonly socket: Pick<Socket, 'pause' | 'resume'>,
    private readonly mayRead: () => boolean,
  ) {}

  /** Counts chunks of a body: pauses the connection until a later round if they are too many. */
  spendChunks(chunks: number): void {
    this.chunks += chunks;
    if (this.chunks >= ROUND_CHUNKS) this.pause();
  }

  /** Counts one read: pauses the connection until a later round if its share is spent. */
  spendRead(bytes: number): void {
    if (bytes < COUNTED_READ_BYTES) return;
    this.messageBytes += bytes;
    if (this.messageBytes <= FREE_BYTES) return;
    if (this.roundId !== rounds.id) {
      this.roundId = rounds.id;
      this.bytes = 0;
    }
    this.bytes += bytes;
    if (rounds.add(bytes, this.bytes)) this.pause();
  }

  private pause(): void {
    this.socket.pause();
    rounds.wait(this);
  }

  /** Its turn has come. */
  goOn(): void {
    this.chunks = 0;
    if (this.mayRead()) this.socket.resume();
  }

  /** Reads on, now or when its turn comes. */
  resume(): void {
    if (!rounds.isWaiting(this)) this.socket.resume();
  }

  /** The next message begins. */
  begin(): void {
    this.messageBytes = 0;
  }

  /** The next message, or none, begins: nothing is spent, and nothing goes on by itself. */
  renew(): void {
    rounds.leave(this);
    this.chunks = 0;
    this.begin();
  }
}
