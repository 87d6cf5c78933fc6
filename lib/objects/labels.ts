import type { Arm, ModelSpec } from '../spec';
import { armObjectName, versionLabel } from '../spec';
import type { Context } from './context';
import type { Metadata } from './kube';

/** Prefix of the labels and annotations that are ours. */
export const PREFIX = 'ai-model.suoke.life';
/** The renderer; also the field manager of applied objects. */
export const MANAGER = 'ai-model-service';

/** Namespace of the routers in a new installation. */
export const SERVICE_NAMESPACE = 'ai-model-service';

export const MODEL_LABEL = `${PREFIX}/model`;
export const ARM_LABEL = `${PREFIX}/arm`;
export const DEFINITION_LABEL = `${PREFIX}/definition`;
export const HASH_ANNOTATION = `${PREFIX}/definition-hash`;

type Labels = Readonly<Record<string, string>>;

/**
 * Selector of the pods of an arm, or of all arms. Selectors are immutable: it holds nothing else.
 */
export function selectorOf({ slug }: ModelSpec, arm?: Arm): Labels {
  return { [MODEL_LABEL]: slug, ...(arm !== undefined && { [ARM_LABEL]: arm.name }) };
}

/** All labels: of objects of the whole model (no arm), of one arm, and of its pods. */
export function labelsOf(spec: ModelSpec, arm?: Arm): Labels {
  return {
    ...spec.labels,
    'app.kubernetes.io/name': spec.slug,
    'app.kubernetes.io/instance': arm === undefined ? spec.slug : armObjectName(spec.id, arm.name),
    'app.kubernetes.io/version': versionLabel(arm?.version ?? spec.version),
    'app.kubernetes.io/component': 'model-server',
    'app.kubernetes.io/part-of': MANAGER,
    'app.kubernetes.io/managed-by': MANAGER,
    ...selectorOf(spec, arm),
  };
}

/** Metadata of an object; `more` are labels and annotations of its own. */
export function metadataOf(
  { spec, environment, hash }: Context,
  name: string,
  arm?: Arm,
  more: { readonly labels?: Labels; readonly annotations?: Labels } = {},
): Metadata {
  return {
    name,
    namespace: environment.namespace,
    labels: { ...labelsOf(spec, arm), ...more.labels },
    annotations: { ...spec.annotations, ...more.annotations, [HASH_ANNOTATION]: hash },
  };
}

/** For objects that are too large for the annotation of a client-side apply. */
export const SERVER_SIDE_APPLY: Labels = {
  'argocd.argoproj.io/sync-options': 'ServerSideApply=true',
};
