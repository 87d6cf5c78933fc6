/** Surroundings of a command; tests pass their own. */
export interface Io {
  /** Writes to stdout: results only. */
  readonly out: (text: string) => void;
  /** Writes to stderr: progress, warnings, errors. */
  readonly err: (text: string) => void;
  readonly env: NodeJS.ProcessEnv;
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Whether stdout is a terminal: only then with colour and progress. */
  readonly terminal: boolean;
  /** The current time, for waivers and timestamps. */
  readonly now: () => Date;
}

export function processIo(): Io {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    env: process.env,
    cwd: process.cwd(),
    terminal: process.stdout.isTTY,
    now: () => new Date(),
  };
}
