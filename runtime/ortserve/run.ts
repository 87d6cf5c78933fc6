import type { OnnxServer, OnnxServerOptions } from './serve';
import { serveOnnx } from './serve';

/** What a server that is a process of its own takes from it. */
export interface ProcessLike {
  readonly stdin: Pick<NodeJS.ReadStream, 'on' | 'resume'>;
  readonly on: (event: 'SIGTERM' | 'SIGINT', listener: () => void) => unknown;
  readonly exit: (code: number) => void;
}

export interface RunOptions extends OnnxServerOptions {
  /** End when standard input does: whoever started us is gone, however it ended. */
  readonly parentGuard: boolean;
  readonly out: (text: string) => void;
  readonly process: ProcessLike;
}

/**
 * Serves until SIGTERM, SIGINT or (with `parentGuard`) the end of standard input, then drains. Says
 * `{"event":"listening","port":N}` on one line when it answers.
 * @throws UnservableModel
 */
export async function runOnnxServer(options: RunOptions): Promise<void> {
  const { process, parentGuard, out } = options;
  let server: OnnxServer | undefined;
  const ended = new Promise<void>((resolve) => {
    let ending = false;
    const end = (): void => {
      // A second signal, or a signal before anything is loaded, ends it at once.
      if (ending || server === undefined) return process.exit(0);
      ending = true;
      resolve(server.close());
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    if (!parentGuard) return;
    process.stdin.on('end', end);
    process.stdin.on('error', end);
    process.stdin.resume();
  });
  server = await serveOnnx(options);
  out(`${JSON.stringify({ event: 'listening', port: server.port })}\n`);
  await ended;
  process.exit(0);
}
