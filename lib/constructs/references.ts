import type { IConfigMap, ISecret, IServiceAccount } from 'cdk8s-plus-28';
import type { KubeObject } from '../objects';
import { SERVER_CONTAINER } from '../objects';
import { DefinitionError, fault } from '../spec';

/** Objects of cdk8s-plus that a model refers to. */
export interface References {
  readonly serviceAccount?: IServiceAccount;
  readonly envFrom?: readonly (ISecret | IConfigMap)[];
}

interface Container {
  readonly name: string;
  readonly envFrom?: readonly object[];
}

interface Pod {
  readonly serviceAccountName?: string;
  readonly containers: readonly Container[];
}

function envSource({ kind, name }: ISecret | IConfigMap): object {
  if (kind === 'Secret') return { secretRef: { name } };
  if (kind === 'ConfigMap') return { configMapRef: { name } };
  throw new DefinitionError([fault('envFrom', kind, 'a Secret or a ConfigMap', 'give one')]);
}

function withPod(pod: Pod, { serviceAccount, envFrom = [] }: References, serves: boolean): Pod {
  const added = envFrom.map(envSource);
  const containers = pod.containers.map((container) =>
    serves && added.length > 0 && container.name === SERVER_CONTAINER
      ? Object.assign({}, container, { envFrom: [...(container.envFrom ?? []), ...added] })
      : container,
  );
  return {
    ...pod,
    ...(serviceAccount !== undefined && { serviceAccountName: serviceAccount.name }),
    containers,
  };
}

/** Puts the references into every pod template; the model’s own account goes when another one is given. */
export function withReferences(
  objects: readonly KubeObject[],
  references: References,
): readonly KubeObject[] {
  const { serviceAccount, envFrom = [] } = references;
  if (serviceAccount === undefined && envFrom.length === 0) return objects;
  return objects
    .filter(({ kind }) => kind !== 'ServiceAccount' || serviceAccount === undefined)
    .map((object) => {
      const spec = object['spec'] as { readonly template?: { readonly spec: Pod } } | undefined;
      if (spec?.template === undefined) return object;
      const pod = withPod(spec.template.spec, references, object.kind === 'Deployment');
      return Object.assign({}, object, {
        spec: { ...spec, template: { ...spec.template, spec: pod } },
      });
    });
}
