import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Arm, Environment, FileContent, ModelSpec } from '../../lib/spec';
import { DefinitionError, withFiles } from '../../lib/spec';
import { formatOf, readArtifact } from '../../lib/synth/artifactfile';
import { findEnvironment, loadEnvironments } from '../../lib/synth/environments';
import { besideInside, createLocalCluster, fileInside, isNotAModel } from '../cluster/local';
import type * as Kubernetes from '../cluster/kubernetes';
import type { Cluster } from '../cluster/port';
import { overruledDefaults } from './config';
import type { PolicyRules } from '../core/policy/policy';
import type { ServiceOptions } from './service-options';
import { entryOf } from '../../lib/spec/entry';

/** Options that decide where models run. */
export type ClusterSettings = Pick<
  ServiceOptions,
  'config' | 'cwd' | 'env' | 'spawnServer' | 'fetchSource' | 'log'
>;

type Where = Pick<ClusterSettings, 'config' | 'cwd' | 'env'>;

/** What model servers inherit: where programs and libraries are, and nothing secret. */
function baseEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'LD_LIBRARY_PATH', 'NODE_PATH', 'SystemRoot'];
  return Object.fromEntries(
    names.flatMap((name) => (entryOf(env, name) ? [[name, entryOf(env, name)]] : [])),
  );
}

/** The project's environment; a service in a pod takes it from its configuration. */
async function chooseEnvironment({ config, cwd }: ClusterSettings): Promise<Environment> {
  const told = config.kubernetes.environment;
  if (told !== undefined) return told;
  const all = await loadEnvironments(cwd, config.models);
  const { environment: name } = config.models;
  const [first] = (name === undefined ? all : findEnvironment(all, name)).all;
  if (first === undefined) throw new Error('a project has at least one environment');
  return first;
}

/** Namespace of new models, unless the kubeconfig names one. */
export const namespaceOf = ({ config }: Pick<Where, 'config'>): string | undefined =>
  config.kubernetes.namespace;

/** Namespace of the service itself. */
export const serviceNamespaceOf = ({ config, env }: Where): string | undefined =>
  config.kubernetes.runtimeNamespace ?? (env['POD_NAMESPACE'] || undefined);

/** How the API server is reached. */
export function kubeconfigOf({ config, cwd }: Where) {
  const { configPath, context } = config.kubernetes;
  return { configPath: configPath === undefined ? undefined : resolve(cwd, configPath), context };
}

/** The environment that renders definitions into objects. */
export async function environmentOf(place: ClusterSettings): Promise<Environment> {
  const environment = await chooseEnvironment(place);
  for (const sentence of overruledDefaults(place.config, environment)) place.log.warn(sentence);
  if (place.config.cluster !== 'kubernetes') return environment;
  const { allowedHosts = [] } = place.config.models;
  return {
    ...environment,
    namespace: namespaceOf(place) ?? environment.namespace,
    // The loader of a model lets in what REST may name.
    artifactHosts: [...new Set([...environment.artifactHosts, ...allowedHosts])],
  };
}

/** Policy for definitions by REST. */
export function policyRulesOf({ models, kubernetes }: ClusterSettings['config']): PolicyRules {
  return {
    registries: models.allowedRegistries,
    hosts: models.allowedHosts,
    secrets: kubernetes.allowedSecrets,
    claims: kubernetes.allowedClaims,
    metadata: kubernetes.allowedMetadata,
    nodes: kubernetes.allowedNodes,
    classes: kubernetes.allowedClasses,
  };
}

function openLocal({
  config,
  cwd,
  log,
  env,
  spawnServer,
  fetchSource,
}: ClusterSettings): Promise<Cluster> {
  const models = resolve(cwd, config.models.directory);
  mkdirSync(models, { recursive: true });
  return createLocalCluster({
    directory: resolve(cwd, config.local.directory),
    modelsDirectory: models,
    endpoints: config.local.endpoints,
    preStopMs: config.local.preStopSeconds * 1000,
    spawnServer,
    baseEnv: baseEnv(env),
    warn: (message) => log.warn(message),
    info: (message) => log.info(message),
    fetch: fetchSource,
    now: Date.now,
    random: Math.random,
  });
}

/** Loads the large Kubernetes client only when it is needed. */
function openKubernetes(place: ClusterSettings, environment: Environment): Promise<Cluster> {
  const { config, log } = place;
  const { mode, namespaces } = config.kubernetes;
  // oxlint-disable-next-line typescript/no-require-imports
  const { createKubernetesCluster } = require('../cluster/kubernetes') as typeof Kubernetes;
  return createKubernetesCluster({
    namespace: namespaceOf(place),
    namespaces,
    home: serviceNamespaceOf(place),
    ...kubeconfigOf(place),
    mode,
    environment,
    rules: policyRulesOf(config),
    warn: (message) => log.warn(message),
  });
}

/** @throws ClusterError when it cannot be used at all */
export function openCluster(place: ClusterSettings, environment: Environment): Promise<Cluster> {
  return place.config.cluster === 'kubernetes'
    ? openKubernetes(place, environment)
    : openLocal(place);
}

/** @throws DefinitionError when it may not be read, is not there, or cannot be loaded */
async function readFile(spec: ModelSpec, arm: Arm, uri: string, folder: string) {
  const path = fileInside(folder, uri);
  const format = formatOf(spec, arm, path);
  const read = await readArtifact(path, format, besideInside(folder, path));
  const refuse = (words: string): DefinitionError =>
    new DefinitionError([{ path: 'source', message: `${uri} ${words}` }]);
  if ('allowed' in read) throw refuse(`must be ${read.allowed}`);
  if ('problem' in read) throw refuse(`${read.problem}; ${read.fix}`);
  const { doubt } = read.content;
  if (format === 'onnx' && isNotAModel(path, doubt)) throw refuse(`${doubt.problem}; ${doubt.fix}`);
  return read.content;
}

/**
 * Puts the bytes of `file` sources into a definition, for a preview of its objects. On Kubernetes a
 * file is known only where its definition stands, and that is not here.
 * @throws DefinitionError when a file may not be read or is not there
 */
export function withArtifacts({
  config,
  cwd,
}: ClusterSettings): (spec: ModelSpec) => Promise<ModelSpec> {
  if (config.cluster === 'kubernetes') return async (spec) => spec;
  const folder = resolve(cwd, config.models.directory);
  return async (spec) => {
    const contents = new Map<string, FileContent>();
    for (const arm of spec.arms) {
      const { scheme, uri = '' } = arm.source ?? {};
      if (scheme !== 'file' || contents.has(uri)) continue;
      contents.set(uri, await readFile(spec, arm, uri, folder));
    }
    return withFiles(spec, (uri) => contents.get(uri) as FileContent);
  };
}
