import type { Arm } from '../spec';
import { updateStrategyOf } from '../spec';
import { startupBudget } from '../objects/probes';
import type { ModelState } from './change';
import { deploymentOf, numberAt, valueAt } from './change';
import { fieldChanges } from './differences';
import type { Restart } from './schema';

/** A replica counts as available this long after it is ready (`minReadySeconds`). */
const SETTLE_SECONDS = 10;
/** `containers[server].livenessProbe.periodSeconds` → `livenessProbe`. */
function causeOf(path: string): string {
  const inPod = path.replace(/^template\.(?:spec\.)?(?:containers\[server\]\.)?/, '');
  const [part = ''] = /^(?:metadata\.\w+)?(?:[^.[\]]|\[[^\]]*\])+/.exec(inPod) ?? [];
  return part === '' ? 'template' : part;
}

/** Causes that are named; an update of everything needs no list. */
const MAX_CAUSES = 5;

/** Pods that are replaced at a time: Kubernetes rounds a percentage of a surge up. */
function stepOf(state: ModelState, deployment: unknown, pods: number): number {
  const { spec, environment } = state;
  const isReplace = spec !== undefined && isReplaced({ spec, environment });
  const key = isReplace ? 'maxUnavailable' : 'maxSurge';
  const given = valueAt(deployment, 'spec', 'strategy', 'rollingUpdate', key);
  if (typeof given === 'number') return Math.max(1, given);
  const percent = typeof given === 'string' ? Number.parseFloat(given) : Number.NaN;
  return Number.isNaN(percent) ? 1 : Math.max(1, Math.ceil((pods * percent) / 100));
}

function isReplaced({ spec, environment }: Pick<Required<ModelState>, 'spec' | 'environment'>) {
  return spec !== undefined && updateStrategyOf(spec, environment) === 'replace';
}

/** Longest time until that many pods were replaced, in seconds. */
function secondsFor(state: ModelState, deployment: unknown, pods: number): number {
  if (state.spec === undefined || pods === 0) return 0;
  const steps = Math.ceil(pods / stepOf(state, deployment, pods));
  return steps * (startupBudget(state.spec) + SETTLE_SECONDS);
}

function podsOf({ scaling }: Arm): Restart['pods'] {
  return { min: scaling.minReplicas, max: scaling.maxReplicas };
}

function started(state: ModelState, arm: Arm): Restart {
  const { spec } = state;
  const pods = podsOf(arm);
  // Pods of a new arm start together.
  const seconds = spec === undefined ? 0 : startupBudget(spec) + SETTLE_SECONDS;
  const range = { min: pods.min === 0 ? 0 : seconds, max: seconds };
  return { arm: arm.name, kind: 'start', pods, seconds: range, because: [] };
}

function rolled({ id, before, after }: RestartInput, arm: Arm, had: Arm): readonly Restart[] {
  if (after === undefined) return [];
  const [old, next] = [deploymentOf(before, id, arm.name), deploymentOf(after, id, arm.name)];
  const fields = fieldChanges(
    valueAt(old, 'spec', 'template'),
    valueAt(next, 'spec', 'template'),
    'template',
  );
  const changed = [...new Set(fields.map(({ path }) => causeOf(path)))];
  if (changed.length === 0) return [];
  const pods = podsOf(had);
  const more = changed.length - MAX_CAUSES;
  const because = [...changed.slice(0, MAX_CAUSES), ...(more > 0 ? [`${more} more`] : [])];
  const seconds = {
    min: secondsFor(after, next, pods.min),
    max: secondsFor(after, next, pods.max),
  };
  return [{ arm: arm.name, kind: 'roll', pods, seconds, because }];
}

export interface RestartInput {
  readonly id: string;
  readonly before: ModelState | undefined;
  readonly after: ModelState | undefined;
}

/** Pods that start, roll or end, arm by arm. A share alone restarts nothing. */
export function restartsOf(input: RestartInput): Restart[] {
  const { before, after } = input;
  const old = new Map(before?.spec?.arms.map((arm) => [arm.name, arm]));
  const names = new Set(after?.spec?.arms.map(({ name }) => name));
  const made = (after?.spec?.arms ?? []).flatMap((arm): readonly Restart[] => {
    const had = old.get(arm.name);
    if (after === undefined) return [];
    return had === undefined ? [started(after, arm)] : rolled(input, arm, had);
  });
  const ended = [...old.values()]
    .filter(({ name }) => !names.has(name))
    .map((arm): Restart => {
      const seconds = { min: 0, max: 0 };
      return { arm: arm.name, kind: 'stop', pods: podsOf(arm), seconds, because: [] };
    });
  return [...made, ...ended];
}

/** Whether an update of this arm leaves callers without a replica. */
export function isOutage(change: RestartInput, { arm, kind, pods }: Restart): boolean {
  const { spec, environment } = change.after ?? {};
  if (kind !== 'roll' || spec === undefined || environment === undefined) return false;
  const deployment = deploymentOf(change.after, change.id, arm);
  const type = valueAt(deployment, 'spec', 'strategy', 'type');
  if (type === 'Recreate') return pods.max > 0;
  const lost = numberAt(deployment, 'spec', 'strategy', 'rollingUpdate', 'maxUnavailable') ?? 0;
  return pods.min > 0 && lost >= pods.min;
}
