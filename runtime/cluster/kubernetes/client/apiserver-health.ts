import type { KubeApi } from './api';
import type { Timing } from './timing';

/**
 * After this time without an event a watch checks that the API server still answers: a hung server
 * neither sends nor closes, while its kernel keeps the connection open.
 */
export const QUIET_MS = 15_000;
/** Watches that check within this time share one answer. */
const FRESH_MS = 10_000;

/** Resolves when the API server answers, rejects with a KubeError when it does not. */
export type ApiserverHealth = () => Promise<void>;

/** Shares one health check between all callers. */
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
