/**
 * A caller brings so much in the time that is allowed between two pieces of a body: one that sends
 * byte by byte would hold memory, and a replica's slot, for as long as it likes. A slow reader of
 * an answer must take about as much.
 */
const PROGRESS_BYTES = 65_536;

/** Ends a request body that arrives too slowly. */
export class ProgressTimer {
  private timer: NodeJS.Timeout | undefined;
  private bytes = 0;

  /** @param ms for each `PROGRESS_BYTES` */
  constructor(
    private readonly ms: number,
    private readonly late: () => void,
  ) {}

  /** So much more came; the time begins with the first call. */
  more(bytes: number): void {
    this.bytes += bytes;
    if (this.timer !== undefined && this.bytes < PROGRESS_BYTES) return;
    this.bytes = 0;
    if (this.timer === undefined) this.timer = setTimeout(this.late, this.ms);
    else this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.bytes = 0;
  }
}
