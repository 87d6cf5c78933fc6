import type { Arm, ModelSpec } from '../spec';
import { armObjectName, downloadSeconds, maxSurgeOf, updateStrategyOf } from '../spec';
import { isCached, isRemote } from './cache';
import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';
import { podTemplate } from './pod';
import { startupBudget } from './probes';

/**
 * A replica counts as available only after this time, so that a crash just after loading is
 * noticed.
 */
const MIN_READY_SECONDS = 10;
const REVISION_HISTORY = 5;
/** Scheduling and pulling the image come on top of the startup budget and the download. */
const PROGRESS_SLACK_SECONDS = 60;

/**
 * Seconds that an init container may take to load the artifact: by its size, else the startup
 * budget.
 */
function loadSeconds(spec: ModelSpec, { source }: Arm): number {
  if (source === undefined || !isRemote(source)) return 0;
  if (isCached(spec, source) || source.size === undefined) return spec.health.startupSeconds;
  return downloadSeconds(source.size);
}

/** The Deployment of an arm. `replicas` is never written: it belongs to the autoscaler. */
export function deployment(context: Context, arm: Arm): KubeObject {
  const { spec, environment } = context;
  const rollingUpdate =
    updateStrategyOf(spec, environment) === 'replace'
      ? { maxUnavailable: 1, maxSurge: 0 }
      : { maxUnavailable: 0, maxSurge: maxSurgeOf(arm) };
  return kubeObject('Deployment', metadataOf(context, armObjectName(spec.id, arm.name), arm), {
    spec: {
      selector: { matchLabels: selectorOf(spec, arm) },
      strategy: { type: 'RollingUpdate', rollingUpdate },
      minReadySeconds: MIN_READY_SECONDS,
      revisionHistoryLimit: REVISION_HISTORY,
      progressDeadlineSeconds:
        startupBudget(spec) + loadSeconds(spec, arm) + PROGRESS_SLACK_SECONDS,
      template: podTemplate(context, arm),
    },
  });
}
