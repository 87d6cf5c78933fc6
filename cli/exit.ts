/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The input has faults or findings, or the check found a difference. */
  findings: 1,
  /** The command line itself is wrong. */
  usage: 2,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message for people; nothing was changed. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  constructor(
    message: string,
    readonly exitCode: ExitCode = EXIT.findings,
    /** For `--output json`. */
    readonly details: readonly unknown[] = [],
  ) {
    super(message);
  }
}
