import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf } from './labels';

/** An identity without rights; clouds bind theirs by annotation. */
export function serviceAccount(context: Context): KubeObject {
  const { slug, serviceAccountAnnotations: annotations } = context.spec;
  return kubeObject('ServiceAccount', metadataOf(context, slug, undefined, { annotations }), {
    automountServiceAccountToken: false,
  });
}
