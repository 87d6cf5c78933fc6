// Writes lib/objects/fields.json: the fields of the objects that a definition may override, from
// the newest Kubernetes that @kubernetes/client-node knows. `--check` only says whether it is up to
// date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as client from '@kubernetes/client-node';

const FILE = join(__dirname, '..', 'lib', 'objects', 'fields.json');
const ROOTS = {
  ConfigMap: 'V1ConfigMap',
  Deployment: 'V1Deployment',
  HorizontalPodAutoscaler: 'V2HorizontalPodAutoscaler',
  Job: 'V1Job',
  NetworkPolicy: 'V1NetworkPolicy',
  PersistentVolumeClaim: 'V1PersistentVolumeClaim',
  PodDisruptionBudget: 'V1PodDisruptionBudget',
  Service: 'V1Service',
  ServiceAccount: 'V1ServiceAccount',
};
/** What people never write. */
const READ_ONLY = new Set(['status', 'managedFields']);

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}
interface Model {
  readonly getAttributeTypeMap: () => readonly Attribute[];
}

const models = client as unknown as Readonly<Record<string, Model | undefined>>;

/** `V1PodSpec` → PodSpec with its fields; `[X` is a list of X, `{X` a map to X. */
function short(type: string): string {
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) return `[${short(list)}`;
  const map = /^\{ \[key: string\]: (.+?);? \}$/.exec(type)?.[1];
  if (map !== undefined) return `{${short(map)}`;
  return type === 'Date' ? 'string' : type;
}

function collect(): Record<string, unknown> {
  const types: Record<string, Record<string, string>> = {};
  const visit = (name: string): void => {
    const plain = name.replace(/^[[{]+/, '');
    const model = models[plain];
    if (types[plain] !== undefined || model?.getAttributeTypeMap === undefined) return;
    const fields: Record<string, string> = {};
    types[plain] = fields;
    for (const { baseName, type } of model.getAttributeTypeMap()) {
      if (READ_ONLY.has(baseName)) continue;
      fields[baseName] = short(type);
      visit(short(type));
    }
  };
  for (const root of Object.values(ROOTS)) visit(root);
  return { kinds: ROOTS, types };
}

const text = `${JSON.stringify(collect(), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text) {
    console.error('lib/objects/fields.json is not up to date: run npx tsx scripts/fields.ts');
    process.exitCode = 1;
  }
} else {
  writeFileSync(FILE, text);
}
