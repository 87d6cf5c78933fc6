import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { readable } from './yamltext';
import { DEFINITION_LABEL, metadataOf, SERVER_SIDE_APPLY } from './labels';

/** Key under which a definition is stored. */
export const DEFINITION_KEY = 'definition.json';

/** Name of the ConfigMap that holds the definition of a model. */
export function definitionName(slug: string): string {
  return `${slug}--model`;
}

/**
 * The registry: the service watches these ConfigMaps by label. Indented, so that diffs are
 * readable.
 */
export function definitionConfigMap(context: Context): KubeObject {
  const { spec } = context;
  const metadata = metadataOf(context, definitionName(spec.slug), undefined, {
    labels: { [DEFINITION_LABEL]: 'true' },
    annotations: SERVER_SIDE_APPLY,
  });
  return kubeObject('ConfigMap', metadata, {
    data: { [DEFINITION_KEY]: readable(JSON.stringify(spec.definition, null, 2)) },
  });
}
