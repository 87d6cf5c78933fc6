import { join } from 'node:path';
// The models alone: the whole client brings connections along.
import * as client from '../../node_modules/@kubernetes/client-node/dist/gen/models/all.js';
import ts from 'typescript';
import type { Manifest } from './manifests';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}
type Models = Readonly<
  Record<string, { readonly getAttributeTypeMap?: () => readonly Attribute[] } | undefined>
>;
const MODELS = client as unknown as Models;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function scalarFaults(type: string, value: unknown, path: string): readonly string[] {
  const allowed: Readonly<Record<string, readonly string[]>> = {
    IntOrString: ['number', 'string'],
    Date: ['string'],
    any: ['number', 'string', 'boolean', 'object'],
  };
  const types = allowed[type] ?? [type];
  return types.includes(typeof value) ? [] : [`${path}: ${typeof value}, must be ${type}`];
}

function faultsIn(type: string, value: unknown, path: string): readonly string[] {
  const item = /^Array<(.+)>$/.exec(type)?.[1];
  if (item !== undefined) {
    if (!Array.isArray(value)) return [`${path}: must be a list`];
    return value.flatMap((inner, index) => faultsIn(item, inner, `${path}[${index}]`));
  }
  const entry = /^\{ \[key: string\]: (.+?);? \}$/.exec(type)?.[1];
  if (entry !== undefined) {
    if (!isObject(value)) return [`${path}: must be a map`];
    return Object.entries(value).flatMap(([key, inner]) =>
      faultsIn(entry, inner, `${path}.${key}`),
    );
  }
  const fields = MODELS[type]?.getAttributeTypeMap?.();
  if (fields === undefined) return scalarFaults(type, value, path);
  if (!isObject(value)) return [`${path}: must be an object`];
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = fields.find(({ baseName }) => baseName === key);
    return field === undefined
      ? [`${path}.${key}: no field of ${type}`]
      : faultsIn(field.type, inner, `${path}.${key}`);
  });
}

/** `apps/v1` Deployment → V1Deployment. */
function modelName({ apiVersion, kind }: Manifest): string {
  const version = apiVersion.split('/').at(-1) ?? '';
  return `${version.charAt(0).toUpperCase()}${version.slice(1)}${kind}`;
}

/** Kinds of operators that no client of Kubernetes knows. */
const FOREIGN = /^(?:monitoring\.coreos\.com|gateway\.networking\.k8s\.io)\//;

export const isForeign = ({ apiVersion }: Manifest): boolean => FOREIGN.test(apiVersion);

interface Validated {
  readonly validate: () => void;
}
type Constructor = new (data: object) => Validated;

/** Required fields, enumerations and formats, by the JSON schemas of kubernetes-models. */
function requiredFaults(manifest: Manifest): readonly string[] {
  const { apiVersion, kind } = manifest;
  // oxlint-disable-next-line typescript/no-require-imports
  const group = require(`kubernetes-models/${apiVersion}`) as Readonly<Record<string, Constructor>>;
  const Model = group[kind];
  if (Model === undefined) return [`kubernetes-models has no ${apiVersion} ${kind}`];
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [`${kind}: ${String(error)}`];
  }
}

/** Unknown fields, wrong types and missing fields, by the newest schemas at hand. */
export function newestFaults(manifest: Manifest): readonly string[] {
  if (isForeign(manifest)) return [];
  const type = modelName(manifest);
  if (MODELS[type]?.getAttributeTypeMap === undefined) return [`no schema for ${type}`];
  const where = `${manifest.kind} ${manifest.metadata.name}`;
  return [...faultsIn(type, manifest, where), ...requiredFaults(manifest)];
}

/** The interfaces of cdk8s-plus-28, by kind. */
function propsName({ kind, apiVersion }: Manifest): string {
  return kind === 'HorizontalPodAutoscaler' && apiVersion === 'autoscaling/v2'
    ? 'KubeHorizontalPodAutoscalerV2Props'
    : `Kube${kind.replace(/^API/, 'Api')}Props`;
}

/** cdk8s writes acronyms in field names its own way. */
const CDK8S_NAMES: Readonly<Record<string, string>> = {
  externalIPs: 'externalIPs',
  clusterIP: 'clusterIp',
  hostPID: 'hostPid',
  hostIPC: 'hostIpc',
  insecureSkipTLSVerify: 'insecureSkipTlsVerify',
};

function named(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(named);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [CDK8S_NAMES[key] ?? key, named(inner)]),
  );
}

/**
 * Checks manifests by the TypeScript compiler against the interfaces of Kubernetes 1.28: as
 * literals, where an unknown field, a wrong type or a missing field is an error.
 */
export function faultsOf128(all: readonly Manifest[]): readonly string[] {
  const lines = all
    .filter((one) => !isForeign(one))
    .map((one, index) => {
      const { apiVersion: _version, kind: _kind, ...body } = one;
      const literal = JSON.stringify(named(body));
      return `export const _${index}: Plain<k8s.${propsName(one)}> = ${literal};`;
    });
  const folder = join(__dirname, '..', 'objects');
  const file = join(folder, '__strict128.ts');
  const text = [
    `import type { k8s } from 'cdk8s-plus-28';`,
    `import type { Plain } from '../../lib/objects/kube';`,
    ...lines,
  ].join('\n');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: ts.ModuleKind.Node20,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    resolveJsonModule: true,
  };
  const host = ts.createCompilerHost(options);
  const real = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : real(name, ...rest);
  const program = ts.createProgram([file], options, host);
  const source = program.getSourceFile(file);
  return program
    .getSemanticDiagnostics(source)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
