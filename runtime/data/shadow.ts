import type { ModelRoute, ShadowRoute } from '../core/table';
import type { CallBase } from './calling';
import { differences } from './compare';
import type { Inferring } from './infer';
import { infer } from './infer';
import type { NativeItem, NativeOutput } from './protocols/native';

/** A shadow may use this part of its arm's capacity, at least one request. */
const BUDGET = 0.1;
/** Larger requests are not copied: the copy would cost more than it tells. */
export const MAX_SHADOW_BYTES = 1024 * 1024;
/** Differing paths that are told of one request. */
const MAX_TOLD = 10;

export type ShadowVerdict = 'agree' | 'disagree' | 'failed' | 'dropped';

/** How a copy compared with the live answer. Holds names of outputs, never values. */
export interface ShadowReport {
  readonly model: string;
  readonly arm: string;
  readonly verdict: ShadowVerdict;
  readonly requestId: string;
  readonly differing: readonly string[];
}

export interface Shadows {
  /** Copies a request to the model's shadows; returns at once. */
  readonly mirror: (
    live: { readonly item: NativeItem; readonly output: NativeOutput; readonly bytes: number },
    base: CallBase,
    requestId: string,
  ) => void;
}

function budgetOf(model: ModelRoute, arm: string): number {
  const route = model.arms.get(arm);
  const capacity = (route?.replicas.length ?? 0) * (route?.concurrencyPerReplica ?? 0);
  return Math.max(1, Math.floor(capacity * BUDGET));
}

export function createShadows(
  inferring: Inferring,
  random: () => number,
  tell: (report: ShadowReport) => void,
): Shadows {
  const running = new Map<string, number>();
  const copy = async (
    shadow: ShadowRoute,
    item: NativeItem,
    live: NativeOutput,
    base: CallBase,
    report: (verdict: ShadowVerdict, differing?: readonly string[]) => void,
  ): Promise<void> => {
    const key = `${base.model.id}\0${shadow.arm}`;
    running.set(key, (running.get(key) ?? 0) + 1);
    try {
      // Its own signal: a caller who has the live answer may hang up.
      const { signal } = new AbortController();
      const own: CallBase = { ...base, arm: shadow.arm, priority: 'low', signal };
      const { output } = await infer(inferring, own, item);
      const differing = differences(live.output, output, shadow.compare);
      report(differing.length === 0 ? 'agree' : 'disagree', differing.slice(0, MAX_TOLD));
    } catch {
      report('failed');
    } finally {
      const left = (running.get(key) ?? 1) - 1;
      if (left > 0) running.set(key, left);
      else running.delete(key);
    }
  };
  return {
    mirror: ({ item, output, bytes }, base, requestId) => {
      for (const shadow of base.model.shadows) {
        if (random() * 100 >= shadow.percent) continue;
        const fixed = { model: base.model.id, arm: shadow.arm, requestId };
        const report = (verdict: ShadowVerdict, differing: readonly string[] = []): void =>
          tell({ ...fixed, verdict, differing });
        const key = `${base.model.id}\0${shadow.arm}`;
        const full = (running.get(key) ?? 0) >= budgetOf(base.model, shadow.arm);
        if (full || bytes > MAX_SHADOW_BYTES) report('dropped');
        else void copy(shadow, item, output, base, report);
      }
    },
  };
}
