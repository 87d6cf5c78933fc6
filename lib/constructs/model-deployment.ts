import { ApiObject } from 'cdk8s';
import type { IConfigMap, ISecret, IServiceAccount } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Environment, EnvironmentInput, ModelInput, ModelSpec } from '../spec';
import { armObjectName, findingsOf, parseEnvironment, parseModel } from '../spec';
import type { Finding } from '../spec';
import type { KubeObject } from '../objects';
import { objectsOf } from '../objects';
import { writeReadably } from './readable';
import { withReferences } from './references';

export interface ModelDeploymentProps {
  /** The definition, as it is written or as `parseModel`, `loadDefinition` and `discover` give it. */
  readonly model: ModelInput | ModelSpec;

  /**
   * Where it runs.
   * @default - the default environment
   */
  readonly environment?: EnvironmentInput | Environment;

  /**
   * The account the pods run as. It must be in the environment’s namespace.
   * @default - one of the model’s own, without any right
   */
  readonly serviceAccount?: IServiceAccount;

  /**
   * Secrets and ConfigMaps whose keys become environment variables of every arm; `env` of the
   * definition wins.
   * @default - none
   */
  readonly envFrom?: readonly (ISecret | IConfigMap)[];

  /**
   * Today as `YYYY-MM-DD`: waivers that ended before it do not count.
   * @default - no waiver has ended, so that the same definition always gives the same answer
   */
  readonly today?: string | undefined;

  /**
   * The definition that this one replaces, for findings about the way from one to the other.
   * @default - none is known
   */
  readonly previous?: ModelInput | ModelSpec | undefined;
}

/** What runs one arm: `stable`, or a candidate. */
export interface ModelArm {
  readonly name: string;
  readonly version: string;
  readonly deployment: ApiObject;
  readonly autoscaler: ApiObject;
  /** Absent when the arm never has two replicas. */
  readonly disruptionBudget?: ApiObject | undefined;
}

const isSpec = (model: ModelInput | ModelSpec): model is ModelSpec => 'arms' in model;

const specOf = (model: ModelInput | ModelSpec): ModelSpec =>
  isSpec(model) ? model : parseModel(model);

const isEnvironment = (given: EnvironmentInput | Environment): given is Environment =>
  'gpu' in given && 'images' in given && 'prices' in given && 'quota' in given;

/**
 * A model on Kubernetes: everything `objectsOf` makes, in the construct tree, so that it can stand
 * in a chart beside other constructs and be changed with `addJsonPatch`.
 * @throws DefinitionError when the definition, or what is made of it, breaks a rule
 * @example
 * const chart = new Chart(app, 'iris');
 * const iris = new ModelDeployment(chart, 'model', {
 *   model: { id: 'iris', version: 'v1', framework: 'onnx', source: 's3://models/iris.onnx' },
 * });
 * iris.deployment.metadata.addAnnotation('example.com/owner', 'team-a');
 */
export class ModelDeployment extends Construct {
  /** The definition with all defaults. */
  readonly spec: ModelSpec;
  readonly environment: Environment;

  /** The stored definition: the registry entry that the runtime watches. */
  readonly definition: ApiObject;
  /** The model’s own account; absent when one was given. */
  readonly serviceAccount: ApiObject | undefined;
  readonly networkPolicy: ApiObject | undefined;
  /** For callers that bypass the router; absent when the environment names none. */
  readonly service: ApiObject | undefined;
  readonly #arms: readonly [ModelArm, ...ModelArm[]];
  readonly #findings: readonly Finding[];

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    writeReadably(this);
    const { model, environment = {}, today, previous } = props;
    this.spec = specOf(model);
    this.environment = isEnvironment(environment) ? environment : parseEnvironment(environment);
    this.#findings = findingsOf(this.spec, {
      environment: this.environment,
      today,
      previous: previous && specOf(previous),
    });
    const made = withReferences(objectsOf(this.spec, this.environment), props);
    const parts = new Map(made.map((object) => [partId(object), this.#add(object)]));
    const { slug } = this.spec;
    const find = (kind: string, name = slug): ApiObject | undefined => parts.get(`${kind}-${name}`);
    this.definition = known(find('ConfigMap', `${slug}--model`));
    this.serviceAccount = find('ServiceAccount');
    this.networkPolicy = find('NetworkPolicy');
    this.service = find('Service');
    const [stable, ...rest] = this.spec.arms.map((arm): ModelArm => {
      const name = armObjectName(this.spec.id, arm.name);
      return {
        name: arm.name,
        version: arm.version,
        deployment: known(find('Deployment', name)),
        autoscaler: known(find('HorizontalPodAutoscaler', name)),
        disruptionBudget: find('PodDisruptionBudget', name),
      };
    });
    this.#arms = [known(stable), ...rest];
    this.node.addValidation({
      validate: () =>
        this.findings
          .filter(({ severity }) => severity === 'error')
          .map(({ path, reason, fix, rule }) => `${path}: ${reason}; ${fix} (${rule})`),
    });
  }

  #add(object: KubeObject): ApiObject {
    return new ApiObject(this, partId(object), object);
  }

  /** All arms, stable first. */
  get arms(): readonly ModelArm[] {
    return [...this.#arms];
  }

  /** The Deployment of stable. */
  get deployment(): ApiObject {
    return this.#arms[0].deployment;
  }

  /** The autoscaler of stable. */
  get autoscaler(): ApiObject {
    return this.#arms[0].autoscaler;
  }

  /** The disruption budget of stable; absent when it never has two replicas. */
  get disruptionBudget(): ApiObject | undefined {
    return this.#arms[0].disruptionBudget;
  }

  /** Every object, in the order it should be applied. */
  get objects(): readonly ApiObject[] {
    return this.node.children.filter((child) => ApiObject.isApiObject(child));
  }

  /** What is legal but probably wrong. */
  get findings(): readonly Finding[] {
    return this.#findings;
  }
}

/** Names are unique within a kind, so they serve as ids in the tree. */
function partId({ kind, metadata }: KubeObject): string {
  return `${kind}-${metadata.name}`;
}

function known<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('objectsOf left out a part that every model has');
  return part;
}
