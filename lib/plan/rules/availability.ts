import type { ArmPair, ModelChange, ModelState } from '../change';
import { armPairs, deploymentOf, listAt, numberAt, podOf, valueAt } from '../change';
import { isOutage, restartsOf } from '../restarts';
import { downloadSeconds } from '../../spec';
import { SERVER_CONTAINER } from '../../objects';
import type { FoundRisk, PlanRule } from './rule';
import { quoted } from './rule';

function serverOf(state: ModelState | undefined, id: string, arm: string): unknown {
  const containers = listAt(podOf(deploymentOf(state, id, arm)), 'containers');
  return containers.find((one) => valueAt(one, 'name') === SERVER_CONTAINER);
}

/** Every arm that is on both sides, with its server container on both. */
function servers(change: ModelChange) {
  return armPairs(change).map((pair) => ({
    arm: pair.after.name,
    old: serverOf(change.before, change.id, pair.after.name),
    next: serverOf(change.after, change.id, pair.after.name),
  }));
}

/** Seconds that a replica may fail before a probe acts. */
function patience(probe: unknown): number {
  const [period, failures] = [
    numberAt(probe, 'periodSeconds'),
    numberAt(probe, 'failureThreshold'),
  ];
  return (period ?? 10) * (failures ?? 3);
}

/** What a readiness probe asks: nothing, a connection, or a path. */
function asked(probe: unknown): string {
  if (probe === undefined) return 'nothing';
  const path = valueAt(probe, 'httpGet', 'path');
  return typeof path === 'string' ? `GET ${path}` : 'a connection';
}

export const readinessWeakened: PlanRule = {
  id: 'readiness-weakened',
  severity: 'medium',
  when: 'the readiness probe asks for something else or less, or notices a failed replica later',
  check: (change) =>
    servers(change).flatMap(({ arm, old, next }): readonly FoundRisk[] => {
      const [before, after] = [old, next].map((one) => valueAt(one, 'readinessProbe'));
      if (before === undefined) return [];
      const [was, is] = [asked(before), asked(after)];
      if (was !== is) {
        const reason = `${quoted(arm)} counted as ready by ${quoted(was)}, and does now by ${quoted(is)}: if that answers before the model is loaded, callers get errors`;
        return [
          { path: 'health', reason, fix: 'make sure that it fails until the model is loaded' },
        ];
      }
      const [sooner, later] = [patience(before), patience(after)];
      if (later <= sooner) return [];
      const reason = `a replica of ${quoted(arm)} that fails gets requests for ${later} s instead of ${sooner} s`;
      return [{ path: 'health.periodSeconds', reason, fix: 'keep the period short' }];
    }),
};

export const startupBudgetLowered: PlanRule = {
  id: 'startup-budget-lowered',
  severity: 'medium',
  when: 'replicas get less time to load their model',
  check: (change) =>
    servers(change).flatMap(({ arm, old, next }) => {
      const budget = (server: unknown): number => {
        const probe = valueAt(server, 'startupProbe');
        return patience(probe) + (numberAt(probe, 'initialDelaySeconds') ?? 0);
      };
      const [was, is] = [budget(old), budget(next)];
      if (is >= was) return [];
      return [
        {
          path: 'health.startupSeconds',
          reason: `a replica of ${quoted(arm)} that loads for more than ${is} s (was ${was} s) is restarted, again and again`,
          fix: 'compare it with the time that its slowest replica took',
        },
      ];
    }),
};

export const graceWeakened: PlanRule = {
  id: 'grace-weakened',
  severity: 'high',
  when: 'pods get less time to end, or routers less time to notice that they end',
  check: (change) =>
    servers(change).flatMap(({ arm, old, next }) => {
      const grace = (state: ModelState | undefined): number =>
        numberAt(podOf(deploymentOf(state, change.id, arm)), 'terminationGracePeriodSeconds') ?? 30;
      const [was, is] = [grace(change.before), grace(change.after)];
      const hook = (server: unknown): boolean =>
        valueAt(server, 'lifecycle', 'preStop') !== undefined;
      const isUnhooked = hook(old) && !hook(next);
      const timeouts = [change.before, change.after].map(
        (one) => one?.spec?.inference.timeoutSeconds,
      );
      // A shorter deadline of requests needs less time.
      const isExplained = (timeouts[0] ?? 0) - (timeouts[1] ?? 0) >= was - is;
      if (!isUnhooked && (is >= was || isExplained)) return [];
      const what = isUnhooked ? 'end without preStop' : `have ${is} s to end instead of ${was} s`;
      return [
        {
          path: 'overrides.Deployment',
          reason: `pods of ${quoted(arm)} ${what}: every update cuts off requests`,
          fix: 'leave the grace period to the library',
        },
      ];
    }),
};

export const updateOutage: PlanRule = {
  id: 'update-outage',
  severity: 'high',
  when: 'pods of an arm roll and an old one ends before a new one is ready, at its only replica',
  check: (change) =>
    restartsOf(change)
      .filter((restart) => isOutage(change, restart))
      .map(({ arm, seconds }) => ({
        path: 'updateStrategy',
        reason: `${quoted(arm)} answers nothing while it rolls, for up to ${seconds.min} s`,
        fix: 'set `updateStrategy` to surge (with room in the quota), or `scaling.minReplicas` to 2',
      })),
};

const fewest = ({ before, after }: ArmPair): readonly [number, number] => [
  before.scaling.minReplicas,
  after.scaling.minReplicas,
];

export const redundancyLost: PlanRule = {
  id: 'redundancy-lost',
  severity: 'medium',
  when: 'the fewest replicas of an arm fall below two',
  check: (change) =>
    armPairs(change)
      .filter((pair) => fewest(pair)[0] >= 2 && fewest(pair)[1] === 1)
      .map(({ after }) => ({
        path: 'scaling.minReplicas',
        reason: `${quoted(after.name)} may run one replica: if its node fails, callers wait until another one has loaded`,
        fix: 'keep 2, or accept the outage',
      })),
};

export const coldStart: PlanRule = {
  id: 'cold-start',
  severity: 'medium',
  when: 'an arm may sleep at zero replicas; its first caller waits for the download (size / 50 MB/s) and the load',
  check: (change) => {
    const old = new Map(change.before?.spec?.arms.map((arm) => [arm.name, arm]));
    return (change.after?.spec?.arms ?? [])
      .filter(({ scaling }) => scaling.minReplicas === 0)
      .filter(({ name, source, scaling }) => {
        const had = old.get(name);
        const isSame = had?.scaling.minReplicas === scaling.minReplicas;
        return !isSame || had?.source?.size !== source?.size;
      })
      .map(({ name, source }) => {
        const size = source?.size;
        const load = `its start-up budget is ${change.after?.spec?.health.startupSeconds} s`;
        const wait =
          size === undefined
            ? `for the whole start, which nothing states (${load})`
            : `${downloadSeconds(size)} s for ${size} at 50 MB/s, and then for the load (${load})`;
        return {
          path: 'scaling.minReplicas',
          reason: `the first caller after a pause of ${quoted(name)} waits ${wait}`,
          fix: 'set `minReplicas` to 1, or keep the artifact with `cache`',
        };
      });
  },
};
