import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment, ModelSpec } from '../spec';
import { EXIT_SECONDS, kubernetesMinor, PRE_STOP_SECONDS } from '../spec';
import { factsOf } from './context';
import type { Plain } from './kube';

/** The first version with the `sleep` action on by default. */
const SLEEP_ACTION_MINOR = 30;

/** The `sleep` action is newer than the interfaces of 1.28. */
type Hook = Plain<k8s.LifecycleHandler> & { readonly sleep?: { readonly seconds: number } };

/** A server that ignores SIGTERM must get it only after its last request. */
function preStopSeconds(spec: ModelSpec, arm: Arm): number {
  return PRE_STOP_SECONDS + (factsOf(spec, arm).drains ? 0 : spec.inference.timeoutSeconds);
}

export function preStop(spec: ModelSpec, arm: Arm, environment: Environment): Hook {
  const seconds = preStopSeconds(spec, arm);
  return kubernetesMinor(environment) >= SLEEP_ACTION_MINOR
    ? { sleep: { seconds } }
    : { exec: { command: ['sleep', String(seconds)] } };
}

/**
 * Seconds that a pod may take to end: preStop, the requests (where the server drains them), and its
 * exit.
 */
export function graceSeconds(spec: ModelSpec, arm: Arm): number {
  const drain = factsOf(spec, arm).drains ? spec.inference.timeoutSeconds : 0;
  return preStopSeconds(spec, arm) + drain + EXIT_SECONDS;
}
