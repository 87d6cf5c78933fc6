// Prints one Pod for each pod template of dist/ (or of the folder given), as YAML: restricted pod
// security is enforced on Pods, while a Deployment is only warned about. For a server-side dry run
// in a real namespace:
//   npx tsx scripts/pods.ts | kubectl apply --server-side --dry-run=server -f -
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { yamlOf } from '../lib/synth/yaml';

interface Template {
  readonly metadata?: { readonly labels?: object; readonly annotations?: object };
  readonly spec: object;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template?: Template };
}

function manifestsIn(folder: string): readonly Manifest[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.k8s.yaml'))
    .sort()
    .flatMap((name) =>
      parseAllDocuments(readFileSync(join(folder, name), 'utf8'), { version: '1.1' }),
    )
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
    // The account is not there in a dry run; what the profile asks for does not depend on it.
    spec: { ...spec.template.spec, serviceAccountName: 'default' },
  };
}

const folder = process.argv[2] ?? join(__dirname, '..', 'dist');
const pods = manifestsIn(folder)
  .map(podOf)
  .filter((pod) => pod !== undefined);
process.stdout.write(yamlOf(pods));
