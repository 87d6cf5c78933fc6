import type { ApiObjectMetadata } from 'cdk8s';
import { ApiObject, App, JsonPatch, Yaml } from 'cdk8s';
import type { INetworkPolicyPeer, RolePolicyRule } from 'cdk8s-plus-28';
import {
  ConfigMap,
  Ingress,
  IngressBackend,
  Namespaces,
  NetworkPolicy,
  NetworkPolicyPort,
  Pods,
  Role,
  RoleBinding,
  Secret,
  Service,
  ServiceAccount,
} from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Environment, Fault } from '../spec';
import { cpuSchema, DefinitionError, fault, memorySchema } from '../spec';
import { MANAGER } from '../objects';
import { environmentIn, makerOf } from './chart';
import { namespaceChart } from './namespace';
import { writeReadably } from './readable';
import { configFaults, serviceEnvironment, wireSections } from './service-config';
import { callerPorts } from './service-network';
import { serviceObjects } from './service-objects';
import { metricsFaults, withMetricsConfig } from './service-metrics';
import { OPS_PORT, PUBLIC_PORT, serviceConfig, stateNamespaceOf } from './service-pod';
import type { IngressOptions, ModelServiceProps } from './service-props';
import { modelRules, routerRules, stateRules } from './service-rules';

/** Of the address of a peer, in the name of a policy. */
const PEER_CHARACTERS = 10;

/** The longest deadline a definition can give a request. */
const LONGEST_TIMEOUT_SECONDS = 300;

/**
 * The service itself on Kubernetes: identity and rights, two replicas that spread, autoscaler,
 * disruption budget, Services (8080 public, 9090 for kubelet, monitoring and peers, and the port of
 * gRPC when it has one), configuration,
 * state, lease and network policy. Nothing is cluster-wide, unless it serves external metrics.
 * Secrets are only referred to.
 *
 * It is for charts of your own: `dist/` holds models alone.
 * @throws DefinitionError for what cannot be installed
 * @example
 * const chart = new Chart(app, 'ai-model-service');
 * new ModelService(chart, 'service', {
 *   environment: { namespace: 'models' },
 *   keys: Secret.fromSecretName(chart, 'keys', 'ai-model-service-keys'),
 * });
 */
export class ModelService extends Construct {
  readonly environment: Environment;
  /** The namespace it runs in. */
  readonly namespace: string;
  /** Namespaces with models. */
  readonly modelNamespaces: readonly string[];
  /** The namespace of new models; it has the Lease and the state. */
  readonly stateNamespace: string;
  readonly serviceAccount: ServiceAccount;
  /** Its rights in its own namespace. */
  readonly role: Role;
  /** Its rights to its Lease and its state, which are beside the models. */
  readonly stateRole: Role;
  /** Its rights in each namespace with models. */
  readonly modelRoles: readonly Role[];
  readonly configMap: ConfigMap;
  /** State of the service; empty at first. */
  readonly state: ConfigMap;
  /** Port 8080, and that of gRPC. */
  readonly service: Service;
  /** Port 9090. */
  readonly opsService: Service;
  readonly ingress: Ingress | undefined;
  /** The Deployment. */
  readonly deployment: ApiObject;
  readonly #callerPorts: readonly number[];
  /** Its pods, for network policies of your own: `web.connections.allowTo(service.pods)`. */
  readonly pods: Pods;

  constructor(scope: Construct, id: string, props: ModelServiceProps = {}) {
    super(scope, id);
    writeReadably(this);
    refuse(props);
    this.environment = serviceEnvironment(environmentIn(this, props.environment), props.config);
    this.namespace = this.environment.runtime.namespace ?? this.environment.namespace;
    this.#refuseSecond();
    namespaceChart(App.of(this), this.environment);
    namespaceChart(App.of(this), this.environment, this.namespace);
    const { mode = 'rest', grpcPort, modelNamespaces = [this.environment.namespace] } = props;
    this.modelNamespaces = [...modelNamespaces];
    this.stateNamespace = stateNamespaceOf(this.environment, modelNamespaces);
    const config = serviceConfig(this.environment, {
      modelNamespaces,
      mode,
      keys: props.keys !== undefined,
      auditKey: props.auditKey !== undefined,
      tls: props.tls !== undefined,
      grpcPort,
      sections: withMetricsConfig(wireSections(props.config), props.externalMetrics),
    });
    this.serviceAccount = new ServiceAccount(this, 'account', {
      metadata: this.#metadata(),
      automountToken: false,
    });
    this.configMap = new ConfigMap(this, 'config', {
      metadata: this.#metadata(),
      data: { 'config.yaml': Yaml.stringify(config) },
    });
    const stateMeta = this.#metadata('-state', this.stateNamespace);
    this.state = new ConfigMap(this, 'state', { metadata: stateMeta });
    const { style } = this.environment.monitoring;
    this.role = this.#addRole('role', this.#metadata(), routerRules());
    this.stateRole = this.#addRole('role-state', stateMeta, stateRules(MANAGER, this.state.name));
    this.modelRoles = modelNamespaces.map((namespace) => {
      const metadata = this.#metadata('-models', namespace);
      return this.#addRole(`role-${namespace}`, metadata, modelRules(mode, style === 'operator'));
    });
    this.deployment = this.#addObjects(props, config);
    this.pods = this.#selectPods();
    this.service = this.#addService('service', '', 'http', PUBLIC_PORT);
    if (grpcPort !== undefined) bindGrpc(this.service, grpcPort);
    this.opsService = this.#addService('ops', '-ops', 'ops', OPS_PORT);
    this.ingress = props.ingress === undefined ? undefined : this.#addIngress(props.ingress);
    this.#callerPorts = callerPorts(grpcPort);
    const { allowFrom = [], metricsFrom = [], allowTo = [] } = props;
    if (allowFrom !== 'everyone') for (const peer of allowFrom) this.allowFrom(peer);
    for (const peer of metricsFrom) this.metricsFrom(peer);
    for (const peer of allowTo) this.allowTo(peer);
  }

  /** Admits further callers to the public port and to gRPC. With `networkPolicy: false` all are. */
  allowFrom(peer: INetworkPolicyPeer): void {
    this.#addPolicy('from', peer)?.addIngressRule(
      peer,
      this.#callerPorts.map(NetworkPolicyPort.tcp),
    );
  }

  /** Admits further readers of `/metrics`. */
  metricsFrom(peer: INetworkPolicyPeer): void {
    this.#addPolicy('metrics', peer)?.addIngressRule(peer, [NetworkPolicyPort.tcp(OPS_PORT)]);
  }

  /** Lets the service connect to pods, namespaces or addresses, at any port unless some are given. */
  allowTo(peer: INetworkPolicyPeer, ports?: readonly number[]): void {
    const open = ports?.map(NetworkPolicyPort.tcp) ?? [NetworkPolicyPort.allTcp()];
    this.#addPolicy('to', peer)?.addEgressRule(peer, open);
  }

  /** @returns undefined when the peer has one already, or the environment has no policies */
  #addPolicy(kind: 'from' | 'metrics' | 'to', peer: INetworkPolicyPeer): NetworkPolicy | undefined {
    const id = `${kind}-${peer.node.addr}`;
    const isOff = this.environment.networkPolicy === false;
    if (isOff || this.node.tryFindChild(id) !== undefined) return undefined;
    const metadata = this.#metadata(`--${kind}-${peer.node.addr.slice(0, PEER_CHARACTERS)}`);
    return new NetworkPolicy(this, id, { metadata, selector: this.pods });
  }

  #refuseSecond(): void {
    const { namespace } = this;
    const first = makerOf(this, { kind: 'Deployment', namespace, name: MANAGER });
    if (first === undefined) return;
    const allowed = `a namespace of its own: ${first.node.path} installs the service there already`;
    const fix = 'remove one of the two, or give one another namespace';
    throw new DefinitionError([fault('environment.namespace', namespace, allowed, fix)]);
  }

  #metadata(suffix = '', namespace = this.namespace): ApiObjectMetadata {
    return { name: `${MANAGER}${suffix}`, namespace, labels: serviceLabels(this.environment) };
  }

  #addRole(id: string, metadata: ApiObjectMetadata, rules: RolePolicyRule[]): Role {
    const role = new Role(this, id, { metadata, rules });
    const binding = new RoleBinding(this, `${id}-binding`, { metadata, role });
    binding.addSubjects(this.serviceAccount);
    return role;
  }

  /**
   * Plain objects: cdk8s-plus has no Lease and no disruption budget, its policies cannot open a
   * port to everyone, its autoscalers always set `behavior`, and its Deployments have no topology
   * spread. Returns the Deployment.
   */
  #addObjects(props: ModelServiceProps, config: Readonly<Record<string, unknown>>): ApiObject {
    const objects = serviceObjects({
      environment: this.environment,
      name: MANAGER,
      namespace: this.namespace,
      stateNamespace: this.stateNamespace,
      modelNamespaces: this.modelNamespaces,
      isPublic: props.allowFrom === 'everyone',
      labels: serviceLabels(this.environment),
      config,
      image: props.image,
      envFrom: props.envFrom ?? [],
      keys: props.keys,
      auditKey: props.auditKey,
      tls: props.tls,
      externalMetrics: props.externalMetrics,
      grpcPort: props.grpcPort,
      route: props.route,
      minReplicas: props.minReplicas ?? 2,
      maxReplicas: Math.max(props.maxReplicas ?? 6, props.minReplicas ?? 2),
      cpu: props.cpu ?? '1',
      memory: props.memory ?? '512Mi',
      longestTimeoutSeconds: props.longestTimeoutSeconds ?? LONGEST_TIMEOUT_SECONDS,
    });
    const made = objects.map((object) => {
      const { kind, metadata } = object;
      return new ApiObject(this, `${kind}-${metadata.namespace}-${metadata.name}`, object);
    });
    const deployment = made.find(({ kind }) => kind === 'Deployment');
    if (deployment === undefined) throw new Error('the service has a Deployment');
    return deployment;
  }

  #selectPods(): Pods {
    const namespaces = Namespaces.select(this, 'namespaces', { names: [this.namespace] });
    return Pods.select(this, 'pods', { labels: { app: MANAGER }, namespaces });
  }

  #addService(id: string, suffix: string, name: string, port: number): Service {
    const service = new Service(this, id, {
      metadata: this.#metadata(suffix),
      ports: [{ name, port, targetPort: port }],
    });
    service.select(this.pods);
    return service;
  }

  #addIngress({ host, className, tls }: IngressOptions): Ingress {
    return new Ingress(this, 'ingress', {
      metadata: this.#metadata(),
      ...(className !== undefined && { className }),
      rules: [{ host, backend: IngressBackend.fromService(this.service) }],
      ...(tls !== undefined && {
        tls: [{ hosts: [host], secret: Secret.fromSecretName(this, 'ingress-tls', tls.name) }],
      }),
    });
  }
}

/** Meshes and gateways derive from the protocol's name that gRPC calls share connections. */
function bindGrpc(service: Service, port: number): void {
  service.bind(port, { name: 'grpc', targetPort: port });
  const at = service.ports.length - 1;
  ApiObject.of(service).addJsonPatch(JsonPatch.add(`/spec/ports/${at}/appProtocol`, 'grpc'));
}

/** Labels of every object; pods carry those that the models’ network policies let in. */
function serviceLabels({ runtime }: Environment): Readonly<Record<string, string>> {
  return {
    app: MANAGER,
    'app.kubernetes.io/name': MANAGER,
    'app.kubernetes.io/component': 'router',
    'app.kubernetes.io/part-of': MANAGER,
    'app.kubernetes.io/managed-by': MANAGER,
    ...runtime.labels,
  };
}

/** The service does not run as root, and it listens on 8080 and 9090 already. */
function isFree(port: number): boolean {
  const isOurs = port === PUBLIC_PORT || port === OPS_PORT;
  return Number.isInteger(port) && port >= 1024 && port <= 65_535 && !isOurs;
}

function quantityFault(
  name: string,
  value: string | undefined,
  schema: typeof cpuSchema | typeof memorySchema,
  fix: string,
): Fault[] {
  const isGood = value === undefined || schema.safeParse(value).success;
  return isGood ? [] : [fault(name, value, 'a quantity of Kubernetes above zero', fix)];
}

/** An ingress controller or a gateway that the policy shuts out would time out on every request. */
function peerFaults({ environment, ingress, route, allowFrom }: ModelServiceProps): Fault[] {
  const through = ingress === undefined ? route && 'route' : 'ingress';
  const isOff = environment?.networkPolicy === false;
  if (through === undefined || isOff || (allowFrom !== undefined && allowFrom.length > 0))
    return [];
  const allowed = `the pods that ${through} goes through, or 'everyone'`;
  const fix =
    "name them: allowFrom: [Namespaces.select(chart, 'ingress', { names: ['ingress-nginx'] })]";
  return [fault('allowFrom', undefined, allowed, fix)];
}

function refuse(props: ModelServiceProps): void {
  const { externalMetrics, ingress, route, minReplicas = 2, grpcPort } = props;
  const faults = [
    ...configFaults(props.config, [props.keys ?? [], props.envFrom ?? []].flat()),
    ...(externalMetrics === undefined ? [] : metricsFaults(externalMetrics)),
    ...peerFaults(props),
    ...(ingress !== undefined && route !== undefined
      ? [fault('route', route.hostnames, 'left out when ingress is given', 'choose one of the two')]
      : []),
    ...(grpcPort !== undefined && !isFree(grpcPort)
      ? [fault('grpcPort', grpcPort, '1024 to 65535, and not 8080 or 9090', 'use 8081')]
      : []),
    ...(minReplicas < 1 ? [fault('minReplicas', minReplicas, '≥ 1', 'use 2 or more')] : []),
    ...quantityFault('cpu', props.cpu, cpuSchema, "use '500m' or '1'"),
    ...quantityFault('memory', props.memory, memorySchema, "use '512Mi' or '1Gi'"),
  ];
  if (faults.length > 0) throw new DefinitionError(faults);
}
