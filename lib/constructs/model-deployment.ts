import { ApiObject, App } from 'cdk8s';
import type {
  IConfigMap,
  INetworkPolicyPeer,
  IPodSelector,
  ISecret,
  IServiceAccount,
  NetworkPolicyPeerConfig,
  PodSelectorConfig,
} from 'cdk8s-plus-28';
import { LabelSelector, Namespaces, NetworkPolicy, NetworkPolicyPort, Pods } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Environment, EnvironmentInput, ModelInput, ModelSpec } from '../spec';
import {
  armObjectName,
  DefinitionError,
  fault,
  findingsOf,
  parseEnvironment,
  parseModel,
} from '../spec';
import type { Finding } from '../spec';
import type { KubeObject } from '../objects';
import { objectsOf } from '../objects';
import { definitionName } from '../objects/configmap';
import { selectorOf } from '../objects/labels';
import { servingPorts } from '../objects/networkpolicy';
import { environmentIn, makerOf } from './chart';
import { namespaceChart } from './namespace';
import { writeReadably } from './readable';
import { withReferences } from './references';

export interface ModelDeploymentProps {
  /** The definition, as it is written or as `parseModel` and `discover` give it. */
  readonly model: ModelInput | ModelSpec;

  /**
   * Where it runs. Its namespace wins over the chart’s.
   * @default - the default environment in the chart’s namespace, or `ai-models` if it has none
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

/** The objects of one arm: `stable`, or a candidate. */
export interface ModelArm {
  readonly name: string;
  readonly version: string;
  /** Its pods, for a Service or a policy of your own. */
  readonly pods: Pods;
  readonly deployment: ApiObject;
  readonly autoscaler: ApiObject;
  /** Absent when the arm never has two replicas. */
  readonly disruptionBudget?: ApiObject | undefined;
}

/** Length of `from-` and a 32-bit hash of the address of a peer, in the name of a policy. */
const MAX_PEER_CHARACTERS = 'from-c8'.length + 8;

type ModelArms = readonly [ModelArm, ...ModelArm[]];

const isSpec = (model: ModelInput | ModelSpec): model is ModelSpec => 'arms' in model;

const specOf = (model: ModelInput | ModelSpec): ModelSpec =>
  isSpec(model) ? model : parseModel(model);

const isEnvironment = (given: EnvironmentInput | Environment): given is Environment =>
  'gpu' in given && 'images' in given && 'prices' in given && 'quota' in given;

/**
 * A model on Kubernetes: everything `objectsOf` makes, in the construct tree, so that it can stand
 * in a chart beside other constructs and be changed with `addJsonPatch`.
 *
 * For cdk8s-plus it is a group of pods: those of all arms, and those that load its artifacts. A
 * NetworkPolicy takes it as its selector and as a peer. A Service takes the `pods` of one arm,
 * since it knows nothing of shares and shadows.
 * @throws DefinitionError when the definition, or what is made of it, breaks a rule
 * @example
 * const chart = new Chart(app, 'iris');
 * const iris = new ModelDeployment(chart, 'model', {
 *   model: { id: 'iris', version: 'v1', framework: 'onnx', source: 's3://models/iris.onnx' },
 * });
 * iris.deployment.metadata.addAnnotation('example.com/owner', 'team-a');
 */
export class ModelDeployment extends Construct implements IPodSelector, INetworkPolicyPeer {
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
  readonly #arms: ModelArms;
  readonly #findings: readonly Finding[];

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    writeReadably(this);
    const { model, environment = {}, today, previous } = props;
    this.spec = specOf(model);
    this.environment = isEnvironment(environment)
      ? environment
      : parseEnvironment(environmentIn(this, environment));
    this.#refuseSecond();
    this.#findings = findingsOf(this.spec, {
      environment: this.environment,
      today,
      previous: previous && specOf(previous),
    });
    const made = withReferences(objectsOf(this.spec, this.environment), props);
    namespaceChart(App.of(this), this.environment);
    const parts = new Map(made.map((object) => [partId(object), this.#add(object)]));
    const { slug } = this.spec;
    const find = (kind: string, name = slug): ApiObject | undefined => parts.get(`${kind}-${name}`);
    this.definition = known(find('ConfigMap', definitionName(slug)));
    this.serviceAccount = find('ServiceAccount');
    this.networkPolicy = find('NetworkPolicy');
    this.service = find('Service');
    this.#arms = this.#armsOf(find);
    this.node.addValidation({
      validate: () =>
        this.findings
          .filter(({ severity }) => severity === 'error')
          .map(({ path, reason, fix, rule }) => `${path}: ${reason}; ${fix} (${rule})`),
    });
  }

  #armsOf(find: (kind: string, name: string) => ApiObject | undefined): ModelArms {
    const names = [this.environment.namespace];
    const namespaces = Namespaces.select(this, 'namespaces', { names });
    const [stable, ...rest] = this.spec.arms.map((arm): ModelArm => {
      const name = armObjectName(this.spec.id, arm.name);
      const labels = selectorOf(this.spec, arm);
      return {
        name: arm.name,
        version: arm.version,
        pods: Pods.select(this, `pods-${arm.name}`, { labels, namespaces }),
        deployment: known(find('Deployment', name)),
        autoscaler: known(find('HorizontalPodAutoscaler', name)),
        disruptionBudget: find('PodDisruptionBudget', name),
      };
    });
    return [known(stable), ...rest];
  }

  #refuseSecond(): void {
    const { id, slug } = this.spec;
    const { namespace } = this.environment;
    const name = definitionName(slug);
    const first = makerOf(this, { kind: 'ConfigMap', namespace, name });
    if (first === undefined) return;
    const allowed = `an id of its own: ${first.node.path} deploys this model to ${namespace} already`;
    const fix = 'remove one of the two, or give one another id or namespace';
    throw new DefinitionError([fault('id', id, allowed, fix)]);
  }

  #add(object: KubeObject): ApiObject {
    return new ApiObject(this, partId(object), object);
  }

  /** All arms, stable first. */
  get arms(): ModelArms {
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

  /** Every object, in the order of application. */
  get objects(): readonly ApiObject[] {
    return this.node.children.filter((child) => ApiObject.isApiObject(child));
  }

  /**
   * Lets pods, namespaces or addresses call the model servers, past the router. A caller whose own
   * egress is closed needs `connections.allowTo(model, { isolation: PodConnectionsIsolation.POD })`
   * as well. With `networkPolicy: false` everyone may call already, and nothing is made: a policy
   * would shut out all others.
   */
  allowFrom(peer: INetworkPolicyPeer): void {
    const id = `from-${peer.node.addr}`;
    if (this.networkPolicy === undefined || this.node.tryFindChild(id) !== undefined) return;
    const ports = servingPorts(this.spec).map((port) => NetworkPolicyPort.tcp(port));
    const name = `${this.spec.slug}--${id.slice(0, MAX_PEER_CHARACTERS)}`;
    const policy = new NetworkPolicy(this, id, { metadata: { name }, selector: this });
    policy.addIngressRule(peer, ports);
  }

  toPodSelectorConfig(): PodSelectorConfig {
    return {
      labelSelector: LabelSelector.of({ labels: { ...selectorOf(this.spec) } }),
      namespaces: { names: [this.environment.namespace] },
    };
  }

  toNetworkPolicyPeerConfig(): NetworkPolicyPeerConfig {
    return { podSelector: this.toPodSelectorConfig() };
  }

  toPodSelector(): IPodSelector {
    return this;
  }

  /** Findings: legal definitions that are probably wrong. */
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
