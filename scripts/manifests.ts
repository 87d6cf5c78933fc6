// Manifests for a server-side dry run on a real API server, as YAML on standard output:
//   npx tsx scripts/manifests.ts objects|pods FILE-OR-FOLDER… [--namespace NAME]
// `objects`: all of them, less Namespaces and kinds of add-ons a plain cluster has not; `pods`: one
// Pod for each pod template, for restricted pod security is enforced on Pods, while a Deployment is
// only warned about.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { yamlOf } from '../lib/objects/yaml';

interface Template {
  readonly metadata?: { readonly labels?: object; readonly annotations?: object };
  readonly spec: object;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template?: Template };
}

function filesIn(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.k8s.yaml'))
    .sort()
    .map((name) => join(path, name));
}

function manifestsIn(paths: readonly string[]): readonly Manifest[] {
  return paths
    .flatMap(filesIn)
    .flatMap((file) => parseAllDocuments(readFileSync(file, 'utf8'), { version: '1.1' }))
    .map((document) => document.toJS() as Manifest);
}

/** Kinds whose pods are made from `spec.template`; the pod is named after its owner. */
function podOf({ kind, metadata, spec }: Manifest): object | undefined {
  if (spec?.template === undefined) return undefined;
  const { name, namespace } = metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${kind.toLowerCase()}-${name}`.slice(0, 253),
      namespace,
      ...spec.template.metadata,
    },
    // The account and the classes are not there in a dry run; the profile does not ask for them.
    spec: {
      ...spec.template.spec,
      serviceAccountName: 'default',
      priorityClassName: undefined,
      runtimeClassName: undefined,
    },
  };
}

/** API groups of Kubernetes itself: without a dot, or below k8s.io. */
const isBuiltIn = ({ apiVersion, kind }: Manifest): boolean =>
  kind !== 'Namespace' && /^(?:[a-z0-9]+\/)?v\w+$|^[a-z0-9.]+\.k8s\.io\//.test(apiVersion);

const { values, positionals } = parseArgs({
  options: { namespace: { type: 'string' } },
  allowPositionals: true,
});
const [what, ...paths] = positionals;
if ((what !== 'objects' && what !== 'pods') || paths.length === 0) {
  throw new Error('usage: manifests.ts objects|pods FILE-OR-FOLDER… [--namespace NAME]');
}
const { namespace } = values;
const all = manifestsIn(paths).map((one) =>
  namespace === undefined || one.metadata.namespace === undefined
    ? one
    : { ...one, metadata: { ...one.metadata, namespace } },
);
const chosen = what === 'objects' ? all.filter(isBuiltIn) : all.map(podOf);
process.stdout.write(yamlOf(chosen.filter((one) => one !== undefined)));
