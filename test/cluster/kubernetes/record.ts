import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { yamlOf } from '../../../lib/objects/yaml';
import { objects } from '../../support/manifests';
import type { Case } from './cases';
import { CASES } from './cases';

// Records what a real cluster says of models that do not come up: `npx tsx FILE [CASE…]` with
// KUBECONFIG. Its nodes need the images that cases.ts tells of. One file a case, in recorded/.

const LIMIT_SECONDS = 150;
const KINDS = {
  deployments: 'deployments',
  pods: 'pods',
  autoscalers: 'horizontalpodautoscalers',
  events: 'events',
} as const;

type Plain = Readonly<Record<string, unknown>>;
type Observed = Readonly<Record<keyof typeof KINDS, readonly Plain[]>>;

function kubectl(args: readonly string[], input?: string): string {
  const stdio = ['pipe', 'pipe', 'pipe'] as const;
  return execFileSync('kubectl', args, { encoding: 'utf8', input, stdio: [...stdio] });
}

const without = (object: unknown, ...keys: readonly string[]): Plain =>
  Object.fromEntries(
    Object.entries((object ?? {}) as Plain).filter(([key]) => !keys.includes(key)),
  );

const only = (object: unknown, ...keys: readonly string[]): Plain =>
  Object.fromEntries(Object.entries((object ?? {}) as Plain).filter(([key]) => keys.includes(key)));

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const CONTAINER = ['name', 'image', 'ports', 'resources'];
const PROBES = ['startupProbe', 'readinessProbe', 'livenessProbe'];
const STATUS_NOISE = ['volumeMounts', 'resources', 'allocatedResources', 'user', 'containerID'];

function tidiedPod(pod: Plain): Plain {
  const { spec, status } = pod as Readonly<Record<string, Plain>>;
  const containers = (field: string): object => {
    const found = list(spec?.[field]).map((one) => only(one, ...CONTAINER, ...PROBES));
    return found.length === 0 ? {} : { [field]: found };
  };
  const statuses = (field: string): object => {
    const found = list(status?.[field]).map((one) => without(one, ...STATUS_NOISE));
    return found.length === 0 ? {} : { [field]: found };
  };
  const kept = only(spec, 'nodeName', 'readinessGates');
  return {
    ...pod,
    spec: { ...kept, ...containers('initContainers'), ...containers('containers') },
    status: {
      ...without(status, 'hostIPs', 'podIPs', 'qosClass', 'allocatedResources', 'resources'),
      ...statuses('initContainerStatuses'),
      ...statuses('containerStatuses'),
    },
  };
}

const TELLING = /^(?:Killing|SuccessfulCreate|TriggeredScaleUp|NodeNotReady)$/;
const MOST_OF_A_REASON = 4;

function tidiedEvents(events: readonly Plain[]): readonly Plain[] {
  const counts = new Map<unknown, number>();
  return events.filter(({ type, reason }) => {
    const count = (counts.get(reason) ?? 0) + 1;
    counts.set(reason, count);
    return count <= MOST_OF_A_REASON && (type !== 'Normal' || TELLING.test(String(reason)));
  });
}

/** Without what is long and says nothing here. */
function tidied(object: Plain): Plain {
  const metadata = without(object['metadata'], 'managedFields', 'ownerReferences', 'generateName');
  const bare = { ...object, metadata };
  if (object['kind'] === 'Pod') return tidiedPod(bare);
  const spec = object['spec'] === undefined ? {} : { spec: without(object['spec'], 'template') };
  return { ...bare, ...spec };
}

export function tidiedAll(seen: Observed): Observed {
  const { deployments, pods, autoscalers, events } = seen;
  return {
    deployments: deployments.map(tidied),
    pods: pods.map(tidied),
    autoscalers: autoscalers.map(tidied),
    events: tidiedEvents(events.map(tidied)),
  };
}

function observe(namespace: string): Observed {
  const listed = Object.entries(KINDS).map(([key, kind]) => {
    const text = kubectl(['get', kind, '-n', namespace, '-o', 'json']);
    const { items } = JSON.parse(text) as { readonly items: readonly Plain[] };
    return [key, items] as const;
  });
  return Object.fromEntries(listed) as unknown as Observed;
}

function apply(given: Case, definition: object, namespace: string): void {
  const made = objects(definition, { ...given.environment, namespace });
  const wanted = made.filter(({ kind }) => kind !== given.without);
  kubectl(['apply', '--server-side', '-f', '-'], yamlOf(wanted));
}

async function until(namespace: string, wanted: (seen: Observed) => boolean): Promise<Observed> {
  for (let second = 0; second < LIMIT_SECONDS; second += 1) {
    const seen = observe(namespace);
    if (wanted(seen)) return seen;
    await sleep(1000);
  }
  throw new Error(`${namespace}: not seen after ${LIMIT_SECONDS} s`);
}

async function record(name: string, given: Case): Promise<void> {
  const namespace = `record-${name}`;
  kubectl(['delete', 'namespace', namespace, '--ignore-not-found']);
  kubectl(['create', 'namespace', namespace]);
  const command = (line: readonly string[]): string =>
    kubectl([...line.map((part) => (part === 'NAMESPACE' ? namespace : part)), '-n', namespace]);
  for (const line of given.before ?? []) command(line);
  const [first, ...later] = given.definitions;
  apply(given, first, namespace);
  const matches = (pattern: RegExp) => (seen: Observed) => pattern.test(JSON.stringify(seen));
  for (const one of later) {
    await until(namespace, matches(/"readyReplicas":/));
    apply(given, one, namespace);
  }
  for (const line of given.after ?? []) {
    await until(namespace, matches(/"readyReplicas":/));
    command(line);
  }
  const seen = await until(namespace, matches(given.until));
  const definition = later.at(-1) ?? first;
  const text = JSON.stringify({ definition, ...tidiedAll(seen) }, null, 1);
  writeFileSync(join(__dirname, 'recorded', `${name}.json`), `${text}\n`);
  kubectl(['delete', 'namespace', namespace, '--wait=false']);
  console.log(`${name}: ${seen.pods.length} pods, ${seen.events.length} events`);
}

async function main(wanted: readonly string[]): Promise<void> {
  const all = Object.entries(CASES).filter(
    ([name]) => wanted.length === 0 || wanted.includes(name),
  );
  for (const [name, given] of all) {
    await record(name, given).catch((error: unknown) => console.error(name, String(error)));
  }
}

if (require.main === module) void main(process.argv.slice(2));
