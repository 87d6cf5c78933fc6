import type { Arm, ModelSpec, ServerOf } from '../spec';
import { armPath, DefinitionError, fault, slugOf } from '../spec';
import type { Context } from './context';
import { factsOf, nameHash } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf } from './labels';
import type { TritonBackend } from './layout';
import { layoutOf, modelFolder, tritonBackend } from './layout';

/** A file the server reads at its start. */
export interface ConfigFile {
  /** Key in the ConfigMap. */
  readonly name: string;
  /** Where it is mounted. */
  readonly path: string;
  readonly content: string;
}

/** Without this file TensorFlow Serving has no metrics at all (`--monitoring_config_file`). */
export const MONITORING_CONFIG = '/etc/tensorflow-serving/monitoring.config';

function monitoringConfig(spec: ModelSpec, arm: Arm): ConfigFile {
  const { path } = factsOf(spec, arm).metrics;
  return {
    name: 'monitoring.config',
    path: MONITORING_CONFIG,
    content: `prometheus_config {\n  enable: true\n  path: ${JSON.stringify(path)}\n}\n`,
  };
}

/** Backends are named by `backend`, but TensorFlow's by `platform` (model_configuration.md of Triton). */
function backendLine(backend: TritonBackend): string {
  return backend === 'tensorflow'
    ? 'platform: "tensorflow_savedmodel"'
    : `backend: ${JSON.stringify(backend)}`;
}

function tritonConfig(spec: ModelSpec, arm: Arm, server: ServerOf<'triton'>): ConfigFile {
  const kind = arm.resources.gpu === undefined ? 'KIND_CPU' : 'KIND_GPU';
  // Inputs and outputs are left out: Triton completes them from the model where it can.
  const lines = [
    `name: ${JSON.stringify(spec.id)}`,
    backendLine(tritonBackend(spec, server)),
    `max_batch_size: ${server.maxBatchSize}`,
    'instance_group [',
    `  { count: ${server.instanceGroupCount}, kind: ${kind} }`,
    ']',
    ...(server.maxBatchSize > 0 ? ['dynamic_batching { }'] : []),
  ];
  return {
    name: 'config.pbtxt',
    path: `${modelFolder(spec)}/config.pbtxt`,
    content: `${lines.join('\n')}\n`,
  };
}

const MLSERVER_RUNTIME: Readonly<Record<string, string>> = {
  sklearn: 'mlserver_sklearn.SKLearnModel',
  xgboost: 'mlserver_xgboost.XGBoostModel',
  huggingface: 'mlserver_huggingface.HuggingFaceRuntime',
};

function implementationOf(spec: ModelSpec, arm: Arm, server: ServerOf<'mlserver'>): string {
  const implementation = server.implementation ?? MLSERVER_RUNTIME[spec.framework];
  if (implementation !== undefined) return implementation;
  throw new DefinitionError([
    fault(
      armPath(spec, arm, 'server.implementation'),
      undefined,
      `given, since MLServer has no runtime of its own for ${spec.framework}`,
      'name the Python class, or choose another server kind',
    ),
  ]);
}

/** The variable by which MLServer's Hugging Face runtime takes its task. */
const TASK_VARIABLE = 'MLSERVER_MODEL_HUGGINGFACE_TASK';
const TASK: Readonly<Record<string, string>> = {
  llm: 'text-generation',
  classification: 'text-classification',
};

/** The Hugging Face runtime refuses to start without a task. */
function huggingfaceExtra(spec: ModelSpec, arm: Arm): object {
  const extra = { pretrained_model: layoutOf(spec, arm).folder };
  if (arm.env[TASK_VARIABLE] !== undefined) return extra;
  const task = TASK[spec.type];
  if (task !== undefined) return { ...extra, task };
  throw new DefinitionError([
    fault(
      armPath(spec, arm, `env.${TASK_VARIABLE}`),
      undefined,
      `given for a Hugging Face model of type ${spec.type}`,
      `set \`env.${TASK_VARIABLE}\` to the pipeline’s task, for example text-classification`,
    ),
  ]);
}

function mlserverConfig(spec: ModelSpec, arm: Arm, server: ServerOf<'mlserver'>): ConfigFile[] {
  const facts = factsOf(spec, arm);
  const implementation = implementationOf(spec, arm, server);
  const file = (name: string, value: object): ConfigFile => ({
    name,
    path: `${modelFolder(spec)}/${name}`,
    content: `${JSON.stringify(value, null, 2)}\n`,
  });
  return [
    file('settings.json', {
      debug: false,
      host: '0.0.0.0',
      http_port: facts.httpPort,
      grpc_port: facts.grpcPort,
      metrics_port: facts.metrics.port,
      metrics_endpoint: facts.metrics.path,
      parallel_workers: server.parallelWorkers,
    }),
    file('model-settings.json', {
      name: spec.id,
      implementation,
      parameters: {
        uri: layoutOf(spec, arm).folder,
        version: arm.version,
        ...(implementation.includes('HuggingFace') && { extra: huggingfaceExtra(spec, arm) }),
      },
    }),
  ];
}

/** Files generated for the server of an arm; none when the image brings the model along. */
export function configFiles(spec: ModelSpec, arm: Arm): readonly ConfigFile[] {
  const { server } = arm;
  if (arm.source === undefined) return [];
  switch (server.kind) {
    case 'tensorflow-serving':
      return [monitoringConfig(spec, arm)];
    case 'triton':
      return [tritonConfig(spec, arm, server)];
    case 'mlserver':
      return mlserverConfig(spec, arm, server);
    default:
      return [];
  }
}

const dataOf = (files: readonly ConfigFile[]): Record<string, string> =>
  Object.fromEntries(files.map(({ name, content }) => [name, content]));

/** The name changes with the content, so that pods of the old content keep theirs. */
export function serverConfigName({ id }: ModelSpec, files: readonly ConfigFile[]): string {
  return `${slugOf(id)}--server-${nameHash(dataOf(files))}`;
}

export function serverConfigMap(context: Context, arm: Arm): KubeObject | undefined {
  const files = configFiles(context.spec, arm);
  if (files.length === 0) return undefined;
  const name = serverConfigName(context.spec, files);
  return kubeObject('ConfigMap', metadataOf(context, name), {
    immutable: true,
    data: dataOf(files),
  });
}
