/** What a command may touch of its surroundings; tests hand in their own. */
export interface Io {
  /** Writes to stdout: results only. */
  readonly out: (text: string) => void;
  /** Writes to stderr: progress, warnings, errors. */
  readonly err: (text: string) => void;
  readonly env: NodeJS.ProcessEnv;
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Is a person reading stdout? Colour and progress only then. */
  readonly terminal: boolean;
  /** Days of waivers and timestamps come from here. */
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
