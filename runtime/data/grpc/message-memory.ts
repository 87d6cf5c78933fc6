import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Holding } from '../../shared/held-bytes';
import { MemoryFull } from '../../shared/held-bytes';

/** Of each call: what HTTP/2 lets a caller send before it is read. */
const WINDOW_BYTES = 65_536;

/** What is used of an HTTP/2 stream. */
interface IncomingStream {
  readonly on: (event: 'data', listener: (bytes: Buffer) => void) => unknown;
  readonly removeAllListeners: (event: 'data') => unknown;
}

/** The library keeps a message until it is whole, and tells nobody how much of it is there. */
function streamOf(call: ServerInterceptingCallInterface): IncomingStream | undefined {
  const { stream } = call as unknown as { readonly stream?: IncomingStream };
  return stream !== undefined && typeof stream.on === 'function' ? stream : undefined;
}

/**
 * Counts a message while it comes.
 * @param onFull called at most once; nothing more of the message is kept
 * @throws MemoryFull when there is no room for its beginning
 */
export function countMessage(
  call: ServerInterceptingCallInterface,
  held: Holding,
  onFull: (error: MemoryFull) => void,
): void {
  held.take(WINDOW_BYTES);
  const stream = streamOf(call);
  let free = WINDOW_BYTES;
  stream?.on('data', (bytes) => {
    const more = Math.max(0, bytes.length - free);
    free = Math.max(0, free - bytes.length);
    try {
      held.take(more);
    } catch (error) {
      if (!(error instanceof MemoryFull)) throw error;
      stream.removeAllListeners('data');
      onFull(error);
    }
  });
}
