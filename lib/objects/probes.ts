import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Check, ModelSpec } from '../spec';
import { factsOf } from './context';
import type { Plain } from './kube';

type Probe = Plain<k8s.Probe>;

/** A busy server may answer late; a slow server must not be restarted. */
const LIVE_TIMEOUT_SECONDS = 5;
const READY_TIMEOUT_SECONDS = 3;
/** A process that does not answer for this long is restarted, in seconds. */
const LIVE_BUDGET_SECONDS = 60;
/** Two in a row: one lost answer does not take a replica out of service. */
const READY_FAILURES = 2;

function action(check: Check, id: string, port: number | string): Probe {
  return 'tcp' in check
    ? { tcpSocket: { port } }
    : { httpGet: { path: check.http.replaceAll('{m}', id), port } };
}

/** Failures of the startup probe until the budget is used up: failures × period. */
function startupFailures({ health }: ModelSpec): number {
  return Math.ceil(health.startupSeconds / health.periodSeconds);
}

/** Seconds from the start of the container until a replica that is not ready has failed. */
export function startupBudget(spec: ModelSpec): number {
  const { initialDelaySeconds, periodSeconds } = spec.health;
  return initialDelaySeconds + startupFailures(spec) * periodSeconds;
}

/**
 * Startup and readiness probe whether this model is loaded; liveness probes only the process: a
 * restart by Kubernetes would make a failing model worse.
 */
export function probesOf(spec: ModelSpec, arm: Arm): Record<string, Probe> {
  const { health, id } = spec;
  const facts = factsOf(spec, arm);
  const port = health.port ?? 'http';
  const ready = health.path === undefined ? facts.ready : { http: health.path };
  const { periodSeconds } = health;
  return {
    startupProbe: {
      ...action(ready, id, port),
      ...(health.initialDelaySeconds > 0 && { initialDelaySeconds: health.initialDelaySeconds }),
      periodSeconds,
      timeoutSeconds: READY_TIMEOUT_SECONDS,
      failureThreshold: startupFailures(spec),
    },
    readinessProbe: {
      ...action(ready, id, port),
      periodSeconds,
      timeoutSeconds: READY_TIMEOUT_SECONDS,
      failureThreshold: READY_FAILURES,
    },
    livenessProbe: {
      ...action(facts.live, id, port),
      periodSeconds,
      timeoutSeconds: LIVE_TIMEOUT_SECONDS,
      failureThreshold: Math.max(3, Math.ceil(LIVE_BUDGET_SECONDS / periodSeconds)),
    },
  };
}
