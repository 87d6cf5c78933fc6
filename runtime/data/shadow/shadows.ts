import type { Compare } from '../../../lib/spec';
import type { ModelRoute, ShadowRoute } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import { differences } from './compare';
import type { DataPlaneLimits } from '../handlers/limits';
import { withoutHeaders } from '../upstream/headers';

/** Maximum differing paths reported for one request. */
const MAX_REPORTED = 10;

export type ShadowVerdict = 'agree' | 'disagree' | 'failed' | 'dropped';

/** Result of comparing a copy with the live answer: names of outputs, never values. */
export interface ShadowReport {
  readonly model: string;
  readonly arm: string;
  readonly verdict: ShadowVerdict;
  readonly requestId: string;
  readonly differing: readonly string[];
}

type Live = readonly unknown[] | undefined;

/** An answered request that can be copied to shadows. */
export interface MirroredRequest {
  readonly bytes: number;
  /** Outputs of the live arm, one per item; undefined: they cannot be compared. */
  readonly live: () => Live | Promise<Live>;
  /** Outputs of the arm that `base` names. Rejects if it returns none. */
  readonly askShadow: (base: CallOptions) => Promise<readonly unknown[]>;
}

export interface Shadows {
  /** Copies a request to the model's shadows; returns at once. */
  readonly mirror: (mirrored: MirroredRequest, base: CallOptions, requestId: string) => void;
}

function maxCopies(model: ModelRoute, arm: string, part: number): number {
  const route = model.arms.get(arm);
  const capacity = (route?.replicas.length ?? 0) * (route?.concurrencyPerReplica ?? 0);
  return Math.max(1, Math.floor(capacity * part));
}

/** Compares item by item; `paths` and `labels` of the rules apply to the outputs of every item. */
function differing(
  live: readonly unknown[],
  shadow: readonly unknown[],
  rules: Compare,
): readonly string[] {
  if (live.length !== shadow.length) return ['length'];
  const all = live.flatMap((output, index) => differences(output, shadow[index], rules));
  return [...new Set(all)].slice(0, MAX_REPORTED);
}

/** A signal of its own, as the caller may hang up; and no compression of the answer. */
function shadowBase(base: CallOptions, arm: string): CallOptions {
  const { signal } = new AbortController();
  const headers = withoutHeaders(base.headers, (name) => name === 'accept-encoding');
  // Copies have a memory limit of their own and may outlive the request.
  // The caller does not wait for a copy: it is not part of its trace.
  return { ...base, headers, arm, priority: 'low', signal, held: undefined, span: undefined };
}

type Report = (verdict: ShadowVerdict, differing?: readonly string[]) => void;

async function compareWithShadow(
  { live, askShadow }: MirroredRequest,
  base: CallOptions,
  { arm, compare }: ShadowRoute,
  report: Report,
): Promise<void> {
  const outputs = await live();
  if (outputs === undefined) return report('dropped');
  const found = differing(outputs, await askShadow(shadowBase(base, arm)), compare);
  report(found.length === 0 ? 'agree' : 'disagree', found);
}

export function createShadows(
  random: () => number,
  onReport: (report: ShadowReport) => void,
  { shadowBytes, shadowPart }: DataPlaneLimits,
): Shadows {
  const running = new Map<string, number>();
  const copy = async (
    key: string,
    mirrored: MirroredRequest,
    base: CallOptions,
    shadow: ShadowRoute,
    report: Report,
  ): Promise<void> => {
    running.set(key, (running.get(key) ?? 0) + 1);
    try {
      await compareWithShadow(mirrored, base, shadow, report);
    } catch {
      report('failed');
    } finally {
      const left = (running.get(key) ?? 1) - 1;
      if (left > 0) running.set(key, left);
      else running.delete(key);
    }
  };
  return {
    mirror: (mirrored, base, requestId) => {
      for (const shadow of base.model.shadows) {
        if (random() * 100 >= shadow.percent) continue;
        const fixed = { model: base.model.id, arm: shadow.arm, requestId };
        const report: Report = (verdict, found = []) =>
          onReport({ ...fixed, verdict, differing: found });
        const key = `${base.model.id}\0${shadow.arm}`;
        const full = (running.get(key) ?? 0) >= maxCopies(base.model, shadow.arm, shadowPart);
        if (full || mirrored.bytes > shadowBytes) report('dropped');
        else void copy(key, mirrored, base, shadow, report);
      }
    },
  };
}
