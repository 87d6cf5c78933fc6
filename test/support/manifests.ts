import { createHash } from 'node:crypto';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../lib/objects';
import { objectsOf } from '../../lib/objects';
import type { EnvironmentInput, ModelSpec } from '../../lib/spec';
import { parseEnvironment, parseModel, withFiles } from '../../lib/spec';
import { yamlOf } from '../../lib/objects/yaml';

/** An object as it comes back from the finished YAML: plain data of any shape. */
export interface Manifest {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** A definition with some bytes for each of its files. */
export function specOf(
  definition: unknown,
  files: Readonly<Record<string, string>> = {},
): ModelSpec {
  return withFiles(parseModel(definition), (uri) => {
    const bytes = Buffer.from(files[uri] ?? `content of ${uri}`);
    const name = uri.split('/').at(-1) ?? uri;
    return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
}

/** The smallest definition, with something added. */
export function model(more: object = {}): object {
  return { id: 'iris', version: 'v1', framework: 'onnx', source: './iris.onnx', ...more };
}

export function objects(given: unknown, environment: EnvironmentInput = {}): KubeObject[] {
  return objectsOf(specOf(given), parseEnvironment(environment));
}

/** The documents of a YAML text, as a cluster would read them (YAML 1.1). */
export function documents(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: '1.1' }).map((one) => one.toJS() as Manifest);
}

/** From a definition to what is read from its finished YAML. */
export function manifests(given: unknown, environment: EnvironmentInput = {}): readonly Manifest[] {
  return documents(yamlOf(objects(given, environment)));
}

/** The one object of a kind (and name). */
export function findManifest(all: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = all.filter(
    (one) => one.kind === kind && (name === undefined || one.metadata.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`${found.length} of ${kind} ${name}`);
  return first;
}

/** What a dotted path leads to: `spec.template.spec.containers.0.resources`. */
export function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (inner, key) =>
        typeof inner === 'object' && inner !== null
          ? (inner as Readonly<Record<string, unknown>>)[key]
          : undefined,
      value,
    );
}

/** Pod templates of Deployments and Jobs, with the object they stand in. */
export function podTemplates(
  all: readonly Manifest[],
): readonly { readonly owner: Manifest; readonly template: Readonly<Record<string, unknown>> }[] {
  return all.flatMap((owner) => {
    const template = at(owner, 'spec.template') as Readonly<Record<string, unknown>> | undefined;
    return template === undefined ? [] : [{ owner, template }];
  });
}
