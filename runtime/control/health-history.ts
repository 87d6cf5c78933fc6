import type { Snapshot } from '../core/lifecycle/snapshot';
import { statusOf } from '../core/lifecycle/status';
import type { ArmStats } from '../core/routing/load';
import type { ModelRecord, Why } from '../cluster/port';
import { healthOf, whyView } from './view';

/** A change of the status of a model, or of the health of an arm. */
interface Transition {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Undefined: the status of the model. */
  readonly arm: string | undefined;
  readonly from: string;
  readonly to: string;
  readonly why: Why | undefined;
}

/** Transitions that are kept of a model, and of each of its arms. */
const KEPT = 10;

/** Error rates are computed for it, which must not hold requests up. */
const MODELS_AT_A_TIME = 100;

/** What a model or an arm is now, and how it came to be that. */
interface Track {
  readonly state: string;
  readonly last: readonly Transition[];
}

type Tracks = ReadonlyMap<string | undefined, Track>;

/** The states of a model and of its arms. */
function statesOf(
  record: ModelRecord,
  stats: readonly ArmStats[],
): readonly (readonly [arm: string | undefined, state: string])[] {
  const arms = record.arms.map((arm) => {
    const own = stats.find((one) => one.arm === arm.name);
    return [arm.name, healthOf(record, arm, own)] as const;
  });
  return [[undefined, statusOf(record).status], ...arms];
}

function tracksOf(
  before: Tracks | undefined,
  record: ModelRecord,
  stats: readonly ArmStats[],
  at: number,
): Tracks {
  const { why } = statusOf(record);
  const next = statesOf(record, stats).map(([arm, to]): [string | undefined, Track] => {
    const track = before?.get(arm);
    // What it was before this router saw it is not known.
    if (track === undefined) return [arm, { state: to, last: [] }];
    if (track.state === to) return [arm, track];
    const change: Transition = { at, arm, from: track.state, to, why };
    return [arm, { state: to, last: [...track.last.slice(1 - KEPT), change] }];
  });
  return new Map(next);
}

/** The last changes of the models' health, as this router has seen them. */
export class HealthHistory {
  private readonly models = new Map<string, Tracks>();
  private next = 0;

  /** To be called every second; models and arms that are gone are forgotten. */
  observe({ models }: Snapshot, stats: readonly ArmStats[], at: number): void {
    for (const id of this.models.keys()) if (!models.has(id)) this.models.delete(id);
    const due = [...models].slice(this.next, this.next + MODELS_AT_A_TIME);
    this.next = this.next + due.length < models.size ? this.next + due.length : 0;
    const byModel = new Map<string, ArmStats[]>(due.map(([id]) => [id, []]));
    for (const one of stats) byModel.get(one.model)?.push(one);
    for (const [id, record] of due) {
      const own = byModel.get(id) ?? [];
      this.models.set(id, tracksOf(this.models.get(id), record, own, at));
    }
  }

  /** As the API shows it, oldest first. */
  view(id: string): readonly object[] {
    const all = [...(this.models.get(id)?.values() ?? [])].flatMap(({ last }) => last);
    return all
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, arm = null, from, to, why }) => ({
        at: new Date(at).toISOString(),
        arm,
        from,
        to,
        why: whyView(why) ?? null,
      }));
  }
}
