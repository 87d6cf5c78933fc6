import type { BodySink, BodySource } from '../exchange';

/** Written to a socket at a time: bounds memory per slow caller, and shows its progress. */
export const SLICE_BYTES = 65_536;

/** Bytes that are all there, given as fast as they are taken. */
export function bufferSource(bytes: Buffer): BodySource {
  let sink: BodySink | undefined;
  let at = 0;
  const give = (): void => {
    while (at < bytes.length) {
      const from = at;
      at += SLICE_BYTES;
      if (sink?.data(bytes.subarray(from, at)) !== true) return;
    }
    const taker = sink;
    sink = undefined;
    taker?.end();
  };
  return {
    flow: (taker) => {
      sink = taker;
      give();
    },
    resume: give,
    destroy: () => {
      sink = undefined;
    },
  };
}
