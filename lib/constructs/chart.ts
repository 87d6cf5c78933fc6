import { ApiObject, Chart } from 'cdk8s';
import type { IConstruct } from 'constructs';
import type { EnvironmentInput } from '../spec';

/**
 * An environment with the namespace of the chart where it names none, as objects of cdk8s do it. A
 * parsed environment always names one.
 */
export function environmentIn(
  scope: IConstruct,
  environment: EnvironmentInput = {},
): EnvironmentInput {
  const { namespace } = Chart.of(scope);
  return namespace === undefined
    ? environment
    : { ...environment, namespace: environment.namespace ?? namespace };
}

export interface ObjectKey {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * The construct whose object has this key in the chart. A second such object would overwrite the
 * first when the chart is applied. Other charts are not looked at: they may be for other clusters.
 */
export function makerOf(
  scope: IConstruct,
  { kind, namespace, name }: ObjectKey,
): IConstruct | undefined {
  return Chart.of(scope)
    .node.findAll()
    .filter((one) => ApiObject.isApiObject(one))
    .find((one) => one.kind === kind && one.name === name && one.metadata.namespace === namespace)
    ?.node.scope;
}
