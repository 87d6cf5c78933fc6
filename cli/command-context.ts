import type { ExitCode } from './exit';
import type { Io } from './io';
import type { OutputFormat } from './report';

/** Arguments of every command: its surroundings, the output format, and the exit code to set. */
export interface CommandContext {
  readonly io: Io;
  readonly format: () => OutputFormat;
  readonly finish: (code: ExitCode) => void;
}
