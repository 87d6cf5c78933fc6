import { KubeError } from './api-error';
import type { Timing } from './timing';

/** Rejects as soon as the signal is aborted; the work itself continues. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

export interface DeadlineOptions {
  /** For the message. */
  readonly what: string;
  readonly ms: number;
  readonly timing: Timing;
  /** Aborting it ends the work early. */
  readonly parent?: AbortSignal;
}

/** Moves the deadline to this many milliseconds from now. */
export type ExtendDeadline = (ms: number) => void;

/** Runs work with a deadline: its signal is aborted with a KubeError `timeout`. */
export async function withDeadline<T>(
  { what, ms, timing, parent }: DeadlineOptions,
  work: (signal: AbortSignal, extend: ExtendDeadline) => Promise<T>,
): Promise<T> {
  const inner = new AbortController();
  let cancel = (): void => undefined;
  const extend: ExtendDeadline = (more) => {
    cancel();
    const error = new KubeError('timeout', `${what}: not done in ${more / 1000} s`);
    cancel = timing.after(() => inner.abort(error), more);
  };
  const forward = (): void => inner.abort(parent?.reason);
  if (parent?.aborted === true) forward();
  // Not AbortSignal.any: the parent lives long and would keep a reference for every call.
  parent?.addEventListener('abort', forward, { once: true });
  extend(ms);
  try {
    return await work(inner.signal, extend);
  } catch (error) {
    throw inner.signal.aborted ? inner.signal.reason : error;
  } finally {
    cancel();
    parent?.removeEventListener('abort', forward);
  }
}
