import type { AuditClock } from './audit-writer';

// Anyone who reaches the port can cause these lines. Without a limit they would fill the files, and
// rotation with `keep` would delete the lines of changes.

/** A limit holds for so long, milliseconds. */
const WINDOW_MS = 10_000;
/** Two a second: about 50 MB a day at most. */
const MAX_LINES = 20;
/** One address does not hide the others. */
const MAX_LINES_OF_ADDRESS = 5;

/** Limits the lines about callers that were not recognized, and counts the rest. */
export class UnrecognizedCallers {
  /** Lines by address; no more than `MAX_LINES` addresses. */
  private readonly recorded = new Map<string, number>();
  private total = 0;
  private omitted = 0;
  private cancel: (() => void) | undefined;

  constructor(
    private readonly clock: AuditClock,
    /** Called at the end of a time in which lines were omitted. */
    private readonly onOmitted: (lines: number) => void,
  ) {}

  /** May one more line be recorded? Otherwise it is counted. */
  mayRecord(address = 'unknown'): boolean {
    this.cancel ??= this.clock.setTimeout(() => this.end(), WINDOW_MS);
    const before = this.recorded.get(address) ?? 0;
    if (this.total >= MAX_LINES || before >= MAX_LINES_OF_ADDRESS) {
      this.omitted += 1;
      return false;
    }
    this.total += 1;
    this.recorded.set(address, before + 1);
    return true;
  }

  /** Tells the number of omitted lines; the next line begins anew. */
  end(): void {
    const { omitted } = this;
    this.cancel?.();
    this.cancel = undefined;
    this.recorded.clear();
    this.total = 0;
    this.omitted = 0;
    if (omitted > 0) this.onOmitted(omitted);
  }
}
