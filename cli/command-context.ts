import type { ExitCode } from './exit';
import type { Io } from './io';
import type { OutputFormat } from './report';

/** What a command gets: its surroundings, the chosen output, and a place for its exit code. */
export interface CommandContext {
  readonly io: Io;
  readonly format: () => OutputFormat;
  readonly finish: (code: ExitCode) => void;
}
