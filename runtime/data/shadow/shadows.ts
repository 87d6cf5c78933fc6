import type { Compare } from '../../../lib/spec';
import type { ModelRoute, ShadowRoute } from '../../core/routing/table';
import type { CallOptions } from '../upstream/call';
import { differences } from './compare';
import type { DataPlaneLimits } from '../handlers/limits';
import { withoutHeaders } from '../upstream/headers';

/** Differing paths that are told of one request. */
const MAX_REPORTED = 10;

export type ShadowVerdict = 'agree' | 'disagree' | 'failed' | 'dropped';

/** How a copy compared with the live answer. Holds names of outputs, never values. */
export interface ShadowReport {
  readonly model: string;
  readonly arm: string;
  readonly verdict: ShadowVerdict;
  readonly requestId: string;
  readonly differing: readonly string[];
}

type Live = readonly unknown[] | undefined;

/** A request that was answered, as a shadow may be asked it too. */
export interface MirroredRequest {
  readonly bytes: number;
  /** What the live arm gave, one output per item; undefined: it cannot be compared. */
  readonly live: () => Live | Promise<Live>;
  /** The same from the arm that `base` names. Rejects when it gives none. */
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

/** Item by item: `paths` and `labels` of the rules are names of outputs, in whichever item. */
function differing(
  live: readonly unknown[],
  shadow: readonly unknown[],
  rules: Compare,
): readonly string[] {
  if (live.length !== shadow.length) return ['length'];
  const all = live.flatMap((output, index) => differences(output, shadow[index], rules));
  return [...new Set(all)].slice(0, MAX_REPORTED);
}

/** Its own signal, for a caller who has the live answer may hang up; and an answer we can read. */
function shadowBase(base: CallOptions, arm: string): CallOptions {
  const { signal } = new AbortController();
  const headers = withoutHeaders(base.headers, (name) => name === 'accept-encoding');
  // Copies have a bound of their own, and the request may be over before they are.
  return { ...base, headers, arm, priority: 'low', signal, held: undefined };
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
  tell: (report: ShadowReport) => void,
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
          tell({ ...fixed, verdict, differing: found });
        const key = `${base.model.id}\0${shadow.arm}`;
        const full = (running.get(key) ?? 0) >= maxCopies(base.model, shadow.arm, shadowPart);
        if (full || mirrored.bytes > shadowBytes) report('dropped');
        else void copy(key, mirrored, base, shadow, report);
      }
    },
  };
}
