import { serveOnnx } from './serve';
import type { OnnxServer, OnnxServerOptions } from './serve';

/** The used part of `process`. */
export interface ProcessLike {
  readonly stdin: Pick<NodeJS.ReadStream, 'on' | 'pause' | 'resume'>;
  readonly on: (event: 'SIGTERM' | 'SIGINT', listener: () => void) => unknown;
  readonly exit: (code: number) => void;
}

export interface RunOptions extends OnnxServerOptions {
  /** End with standard input: the parent process is gone, even after kill -9. */
  readonly parentGuard: boolean;
  readonly out: (text: string) => void;
  readonly process: ProcessLike;
}

/**
 * Serves until SIGTERM, SIGINT or (with `parentGuard`) the end of standard input, drains, and exits
 * with 0. Writes the line `{"event":"listening","port":N}` once it answers. Rejects with an Error
 * when a model cannot be served.
 */
export async function runOnnxServer(options: RunOptions): Promise<void> {
  const { process: host, parentGuard, out } = options;
  let server: OnnxServer | undefined;
  const ended = new Promise<void>((resolve) => {
    let asked = false;
    const end = (again: () => void): void => {
      if (asked) return again();
      asked = true;
      // Before it listens there is nothing to drain.
      if (server === undefined) host.exit(0);
      else resolve(server.close());
    };
    // Only a second signal forces the end: the parent may send one and close our input as well.
    const signalled = (): void => end(() => host.exit(0));
    const orphaned = (): void => end(() => undefined);
    host.on('SIGTERM', signalled);
    host.on('SIGINT', signalled);
    if (!parentGuard) return;
    host.stdin.on('end', orphaned);
    host.stdin.on('error', orphaned);
    host.stdin.resume();
  });
  try {
    server = await serveOnnx(options);
  } catch (error) {
    // The parent waits for our exit, which an open input would prevent.
    host.stdin.pause();
    throw error;
  }
  out(`${JSON.stringify({ event: 'listening', port: server.port })}\n`);
  await ended;
  host.exit(0);
}
