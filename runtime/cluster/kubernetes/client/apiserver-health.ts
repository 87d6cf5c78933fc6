import type { KubeApi } from './api';
import type { Timing } from './timing';

/**
 * So long may a watch be silent before it is asked whether the API server is there at all. One that
 * stands still neither answers nor hangs up, and its kernel goes on saying that all is well.
 */
export const QUIET_MS = 15_000;
/** An answer is good for all watches that ask about the same time. */
const FRESH_MS = 10_000;

/** Resolves when the API server answers, rejects with a KubeError when it does not. */
export type ApiserverHealth = () => Promise<void>;

/** One question at a time, whoever asks. */
export function createApiserverHealth(
  api: Pick<KubeApi, 'alive'>,
  timing: Timing,
): ApiserverHealth {
  let last: { readonly at: number; readonly answer: Promise<void> } | undefined;
  return () => {
    if (last === undefined || timing.now() - last.at >= FRESH_MS) {
      last = { at: timing.now(), answer: api.alive() };
    }
    return last.answer;
  };
}
