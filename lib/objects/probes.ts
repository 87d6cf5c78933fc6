import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Check, ModelSpec } from '../spec';
import { factsOf } from './context';
import type { Plain } from './kube';

type Probe = Plain<k8s.Probe>;

/** A busy server may answer late; what is merely slow must not be restarted. */
const LIVE_TIMEOUT_SECONDS = 5;
const READY_TIMEOUT_SECONDS = 3;
/** A process that does not answer for this long is restarted, in seconds. */
const LIVE_BUDGET_SECONDS = 60;
/** Two in a row: one lost answer takes no replica out. */
const READY_FAILURES = 2;

function action(check: Check, id: string, port: number | string): Probe {
  return 'tcp' in check
    ? { tcpSocket: { port } }
    : { httpGet: { path: check.http.replaceAll('{m}', id), port } };
}

/** How often the startup probe may fail: failures × period covers the budget. */
export function startupFailures({ health }: ModelSpec): number {
  return Math.ceil(health.startupSeconds / health.periodSeconds);
}

/** From the start of the container until a replica that never gets ready is given up, in seconds. */
export function startupBudget(spec: ModelSpec): number {
  const { initialDelaySeconds, periodSeconds } = spec.health;
  return initialDelaySeconds + startupFailures(spec) * periodSeconds;
}

/**
 * Startup and readiness ask whether this model is loaded, liveness only whether the process is
 * there: a model that fails for a while must not be restarted by Kubernetes, which would make it
 * worse.
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
