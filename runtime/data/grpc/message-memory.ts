import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Holding } from '../../shared/held-bytes';
import { MemoryFull } from '../../shared/held-bytes';

/** HTTP/2 flow-control window of each call; bytes. */
const WINDOW_BYTES = 65_536;

/** The used part of an HTTP/2 stream. */
interface IncomingStream {
  readonly on: (event: 'data', listener: (bytes: Buffer) => void) => unknown;
  readonly removeAllListeners: (event: 'data') => unknown;
}

/** grpc-js buffers a message until it is whole and does not report its size meanwhile. */
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
