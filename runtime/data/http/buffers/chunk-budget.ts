import type { Socket } from 'node:net';

/**
 * A round of the event loop reads up to 2 MB from one connection, which is 350,000 chunks of one
 * byte, and each costs a tenth of a microsecond and more. After so many the connection is paused
 * until the next round; one read brings up to 11,000 more, so a round takes a few milliseconds.
 */
export const ROUND_CHUNKS = 8192;

/** Limits the chunks of one connection in one turn of the event loop. */
export class ChunkBudget {
  private spent = 0;
  private renewal: NodeJS.Immediate | undefined;

  /** @param mayRead is the connection to be read when the next round begins? */
  constructor(
    private readonly socket: Pick<Socket, 'pause' | 'resume'>,
    private readonly mayRead: () => boolean,
  ) {}

  /** So many chunks more have come: pauses the connection until the next round if that is too many. */
  spend(chunks: number): void {
    this.spent += chunks;
    if (this.spent < ROUND_CHUNKS) return;
    this.socket.pause();
    this.renewal ??= setImmediate(() => {
      this.renew();
      if (this.mayRead()) this.socket.resume();
    });
  }

  /** Reads on, now or in the next round. */
  resume(): void {
    if (this.renewal === undefined) this.socket.resume();
  }

  /** The next message, or none, begins: nothing is spent, and nothing goes on by itself. */
  renew(): void {
    if (this.renewal !== undefined) clearImmediate(this.renewal);
    this.renewal = undefined;
    this.spent = 0;
  }
}
