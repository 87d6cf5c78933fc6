import type { Cause } from './cause';
import { quoted } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import { replicaSetEvents } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import {
  conditionOf,
  createdAt,
  transitionedAt,
  nameOf,
  numberAt,
  textAt,
} from '../client/object-fields';

type Found = Pick<Cause, 'cause' | 'message'>;

/** Reasons why pods cannot be created, by the messages of admission. */
const REFUSALS: readonly (readonly [RegExp, (found: readonly string[]) => Found])[] = [
  [
    /exceeded quota: ([^,\s]+), requested: (.*?), used: (.*?), limited: (.*)$/s,
    ([, name, requested, used, limited]) => ({
      cause: 'quota-exceeded',
      message: `quota ${name} of the namespace is used up: a replica asks for ${requested}; ${used} of ${limited} are used; ask for less, scale something down, or have the quota raised`,
    }),
  ],
  [
    /failed quota: ([^:\s]+): must specify (.*)$/s,
    ([, name, what]) => ({
      cause: 'quota-exceeded',
      message: `quota ${name} of the namespace requires every container to specify ${what}; set it in resources`,
    }),
  ],
  [
    /violates PodSecurity "([^"]+)": (.*)$/s,
    ([, level, what]) => ({
      cause: 'pod-security',
      message: `the namespace enforces Pod Security "${level}": ${what}; set podSecurity of the environment to that level, or change overrides`,
    }),
  ],
  [
    /error looking up service account (\S+?): (.*)$/s,
    ([, account, what]) => ({
      cause: 'missing-account',
      message: `ServiceAccount ${account} cannot be used: ${what}; apply all objects of the model again`,
    }),
  ],
  [
    /admission webhook "([^"]+)" denied the request: ?(.*)$/s,
    ([, webhook, what]) => ({
      cause: 'admission-refused',
      message: `the cluster's policy (${webhook}) refuses the pod: ${what}; change the definition, or ask the owner of the policy`,
    }),
  ],
  [
    /((?:minimum|maximum) .*? usage per \w+ .*)$/s,
    ([, what]) => ({
      cause: 'limit-range',
      message: `the namespace's LimitRange refuses the pod: ${what}; change resources`,
    }),
  ],
  [
    /no PriorityClass with name (\S+) was found/,
    ([, name]) => ({
      cause: 'admission-refused',
      message: `PriorityClass ${name} does not exist; correct scheduling.priority_class`,
    }),
  ],
];

function refusal(words: string): Found {
  for (const [pattern, explain] of REFUSALS) {
    const match = pattern.exec(words);
    if (match !== null) {
      const { cause, message } = explain(match);
      return { cause, message: quoted(message) };
    }
  }
  const message = `pods cannot be created: ${quoted(words)}; change the definition, or ask the administrator of the cluster`;
  return { cause: /forbidden/.test(words) ? 'admission-refused' : 'create-failed', message };
}

/** A Deployment with missing pods: from its condition, or from the event of the failed creation. */
function createCause(deployment: RawObject, noticed: readonly ObjectEvent[]): Cause | undefined {
  const condition = conditionOf(deployment, 'ReplicaFailure');
  if (condition?.['status'] === 'True') {
    const since = transitionedAt(condition) ?? createdAt(deployment);
    return { ...refusal(textAt(condition, 'message') ?? ''), since, failed: true };
  }
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  if ((numberAt(deployment, 'status', 'replicas') ?? 0) >= wanted) return undefined;
  // The latest event counts: events remain for an hour after their cause is gone.
  const latest = replicaSetEvents(noticed, nameOf(deployment)).find(
    ({ reason }) => reason === 'FailedCreate' || reason === 'SuccessfulCreate',
  );
  if (latest?.reason !== 'FailedCreate') return undefined;
  return { ...refusal(latest.message), since: latest.first, failed: true };
}

export function missedDeadline(deployment: RawObject): Cause | undefined {
  const condition = conditionOf(deployment, 'Progressing');
  if (condition?.['reason'] !== 'ProgressDeadlineExceeded') return undefined;
  const seconds = numberAt(deployment, 'spec', 'progressDeadlineSeconds');
  const within = seconds === undefined ? 'in time' : `within ${seconds} s`;
  const message = `its replicas did not become ready ${within}; look at their logs, or raise health_check.startup_seconds`;
  const since = transitionedAt(condition) ?? createdAt(deployment);
  return { cause: 'progress-deadline', message, since, failed: true };
}

/**
 * The cause that keeps a Deployment from having its replicas, beyond the causes of the pods
 * themselves.
 */
export function deploymentCause(
  deployment: RawObject,
  noticed: readonly ObjectEvent[],
): Cause | undefined {
  return createCause(deployment, noticed) ?? missedDeadline(deployment);
}

/** Metrics of new pods arrive after a minute or two. */
const MEASURES_MS = 120_000;

/**
 * An autoscaler that has no metrics, or cannot scale. It is only reported for an arm with replicas,
 * and not before metrics can exist.
 * @param settledAt when the last replica became ready
 */
export function autoscalerCause(
  autoscaler: RawObject,
  settledAt: number,
  now: number,
): Cause | undefined {
  const [least, most] = ['minReplicas', 'maxReplicas'].map((field) =>
    numberAt(autoscaler, 'spec', field),
  );
  if ((least ?? 1) >= (most ?? 1)) return undefined;
  const told = (type: string, what: string, advice: string): Cause | undefined => {
    const condition = conditionOf(autoscaler, type);
    if (condition?.['status'] !== 'False' || condition['reason'] === 'ScalingDisabled') {
      return undefined;
    }
    const since = Math.max(transitionedAt(condition) ?? createdAt(autoscaler), settledAt);
    if (now - since < MEASURES_MS) return undefined;
    const words = quoted(textAt(condition, 'message') ?? textAt(condition, 'reason') ?? '');
    return {
      cause: 'autoscaler-blind',
      message: `${what}: ${words}; ${advice}`,
      since,
      failed: false,
    };
  };
  return (
    told('AbleToScale', 'the autoscaler cannot scale', 'look at its events') ??
    told(
      'ScalingActive',
      'the autoscaler has nothing to go by',
      'check metrics-server, and for target_concurrency the external metrics of this service',
    )
  );
}
