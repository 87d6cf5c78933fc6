import type { Arm } from '../spec';
import { armObjectName } from '../spec';
import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';
import { podTemplate } from './pod';
import { startupBudget } from './probes';

/** A replica counts only after it has stayed ready this long, so that a crash just after loading is seen. */
const MIN_READY_SECONDS = 10;
const REVISION_HISTORY = 5;
/** Scheduling, pulling the image and fetching come on top of the startup budget. */
const PROGRESS_SLACK_SECONDS = 60;
/** Larger arms roll in quarters; one by one would take too long. */
const SURGE_BY_ONE_UP_TO = 4;

/** The Deployment of an arm. `replicas` is never written: it belongs to the autoscaler. */
export function deployment(context: Context, arm: Arm): KubeObject {
  const { spec } = context;
  const maxSurge = arm.scaling.maxReplicas > SURGE_BY_ONE_UP_TO ? '25%' : 1;
  return kubeObject('Deployment', metadataOf(context, armObjectName(spec.id, arm.name), arm), {
    spec: {
      selector: { matchLabels: selectorOf(spec, arm) },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge } },
      minReadySeconds: MIN_READY_SECONDS,
      revisionHistoryLimit: REVISION_HISTORY,
      progressDeadlineSeconds: startupBudget(spec) + PROGRESS_SLACK_SECONDS,
      template: podTemplate(context, arm),
    },
  });
}
