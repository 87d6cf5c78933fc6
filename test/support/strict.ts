import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Manifest } from './manifests';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}
type Models = Readonly<
  Record<string, { readonly getAttributeTypeMap?: () => readonly Attribute[] }>
>;

const ROOT = join(__dirname, '..', '..');
const MODELS = join(ROOT, 'node_modules/@kubernetes/client-node/dist/gen/models');

/** The fields of a model of the client; of the thousand modules only those that are met are read. */
function fieldsOf(type: string): readonly Attribute[] | undefined {
  const file = join(MODELS, `${type}.js`);
  if (!/^\w+$/.test(type) || !existsSync(file)) return undefined;
  // oxlint-disable-next-line typescript/no-require-imports
  return (require(file) as Models)[type]?.getAttributeTypeMap?.();
}

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
  const fields = fieldsOf(type);
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

function constructorOf({ apiVersion, kind }: Manifest): Constructor | undefined {
  try {
    // oxlint-disable-next-line typescript/no-require-imports
    const module = require(`kubernetes-models/${apiVersion}/${kind}`) as Record<
      string,
      Constructor
    >;
    return module[kind];
  } catch {
    return undefined;
  }
}

/** Required fields, enumerations and formats, by the JSON schemas of kubernetes-models. */
function requiredFaults(manifest: Manifest): readonly string[] {
  const { apiVersion, kind } = manifest;
  const Model = constructorOf(manifest);
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
  if (fieldsOf(type) === undefined) return [`no schema for ${type}`];
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

const LITERALS = '/literals.ts';
const PLUS = '/cdk8s-plus-28.d.ts';

/** All that the literals need of each module: the constructs beside the interfaces are not read. */
const MODULES: Readonly<Record<string, string>> = {
  k8s: join(ROOT, 'node_modules/cdk8s-plus-28/lib/imports/k8s.d.ts'),
  kube: join(ROOT, 'lib/objects/kube.ts'),
  'cdk8s-plus-28': PLUS,
};

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es5.d.ts'],
  types: [],
};

const parsed = new Map<string, ts.SourceFile | undefined>();

function hostOf(literals: string): ts.CompilerHost {
  const host = ts.createCompilerHost(OPTIONS);
  const texts: Readonly<Record<string, string>> = {
    [LITERALS]: literals,
    [PLUS]: `export * as k8s from 'k8s';`,
  };
  const read = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => {
    const text = texts[name];
    if (text !== undefined) return ts.createSourceFile(name, text, ts.ScriptTarget.ES2022);
    // The interfaces are a megabyte: a second check in the same test file has them already.
    if (!parsed.has(name)) parsed.set(name, read(name, ...rest));
    return parsed.get(name);
  };
  host.resolveModuleNameLiterals = (all) =>
    all.map(({ text }) => {
      const resolvedFileName = MODULES[text];
      if (resolvedFileName === undefined) return { resolvedModule: undefined };
      const extension = resolvedFileName.endsWith('.d.ts') ? ts.Extension.Dts : ts.Extension.Ts;
      return { resolvedModule: { resolvedFileName, extension } };
    });
  return host;
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
  const imports = [`import type * as k8s from 'k8s';`, `import type { Plain } from 'kube';`];
  const program = ts.createProgram([LITERALS], OPTIONS, hostOf([...imports, ...lines].join('\n')));
  return program
    .getSemanticDiagnostics(program.getSourceFile(LITERALS))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
