import { spawnSync } from 'node:child_process';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import fc from 'fast-check';
import { objectsOf } from '../../lib/objects';
import type { ModelSpec } from '../../lib/spec';
import {
  DefinitionError,
  fromWire,
  parseEnvironment,
  parseModel,
  toWire,
  withFiles,
} from '../../lib/spec';
import { checkRunnable, replicaPlanOf } from '../../runtime/cluster/local/replica-plan';
import { probe } from '../../runtime/cluster/local/probe';
import { applyTo, pinOf } from '../../runtime/cluster/registry';
import { ClusterError } from '../../runtime/cluster/port';
import { statusView, summaryView } from '../../runtime/control/view';
import { buildTable } from '../../runtime/core/routing/build-table';
import { createMetrics } from '../../runtime/metrics';
import { AT, recordOf, snapshotOf } from '../core/support';
import { observationOf, textOf } from '../metrics/support';
import { anyPath, anyText, anyUrl } from '../support/texts';
import { rounds } from '../support/rounds';

// Whatever the schema lets in, all who use it can use: a text is laid into every place of a
// definition in turn, and where the schema takes it, everybody is given the definition.

/** Definitions that between them have every text of the schema. */
const BASES: readonly Readonly<Record<string, unknown>>[] = [
  {
    id: 'iris',
    name: 'Iris',
    version: 'v1',
    framework: 'onnx',
    source: { uri: './iris.onnx', sha256: 'a'.repeat(64), size: '1Mi' },
    server: { kind: 'onnx', image: 'a/b:1' },
    args: ['--verbose'],
    command: ['run'],
    resources: { cpu: '1', memory: '1Gi', cpuLimit: '2' },
    health: { path: '/ready' },
    env: { NAME: 'value', TOKEN: { secret: 'tokens', key: 'token' } },
    capabilities: ['classify'],
    inference: { cohort: { header: 'x-user', salt: 'salt' } },
    slo: { availability: 99 },
    cache: { size: '1Gi', storageClass: 'fast' },
    scheduling: {
      nodeSelector: { zone: 'a' },
      tolerations: [{ key: 'gpu', operator: 'Equal', value: 'yes', effect: 'NoSchedule' }],
      priorityClass: 'high',
      runtimeClass: 'gvisor',
    },
    serviceAccountAnnotations: { 'example.com/role': 'reader' },
    labels: { team: 'x' },
    annotations: { note: 'words' },
    waivers: [{ rule: 'gpu-quota', reason: 'a reason of some length', until: '2030-01-01' }],
    candidates: [
      { name: 'next', version: 'v2', traffic: 10, env: { NAME: 'other' }, image: 'a/b:2' },
      { name: 'dark', version: 'v3', shadow: 10, compare: { labels: ['y'], paths: ['a.b'] } },
    ],
    overrides: { Deployment: { metadata: { annotations: { a: 'b' } } } },
  },
  {
    id: 'llm',
    version: '1',
    framework: 'huggingface',
    type: 'llm',
    source: {
      uri: 's3://bucket/key',
      credentials: { secret: 'aws' },
      endpoint: 'http://minio:9000',
      ca: 'ca',
    },
    server: { kind: 'vllm', quantization: 'awq', dtype: 'auto' },
    resources: { gpu: { count: 1, resource: 'nvidia.com/gpu', product: 'A100' } },
    inference: { cohort: { claim: 'sub' } },
  },
  {
    id: 'trees',
    version: '1',
    framework: 'sklearn',
    source: 'https://models.example.com/a.joblib',
    server: { kind: 'mlserver', implementation: 'a.B' },
    inference: { cohort: { cookie: 'uid' } },
  },
  {
    id: 'tf',
    version: '1',
    framework: 'tensorflow',
    source: 'pvc://claim/path',
    server: { kind: 'tensorflow-serving', signatureName: 'serving' },
  },
];

/** Texts that some reader or writer somewhere does not bear. */
const HOSTILE = [
  '/你',
  '/%zz',
  '你好',
  'a\0b',
  'a\r\nx: y',
  '\ud800',
  '\u2028',
  '\u0085',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__proto__',
  'stable',
  '..',
  '../../etc/passwd',
  'https://[',
  'pvc://../x',
  's3://-/x',
  '$(PATH)',
  "'; rm -rf /",
  '{m}',
  'x'.repeat(300),
];

type Path = readonly (string | number)[];

/** Every place of a value where a text stands, as a value or as a key of a map. */
function placesOf(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value === 'string') return [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    placesOf(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

function laid(value: unknown, path: Path, text: string): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return text;
  if (Array.isArray(value)) {
    return value.map((one: unknown, at) => (at === first ? laid(one, rest, text) : one));
  }
  const entries = Object.entries(value as object);
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, key === first ? laid(inner, rest, text) : inner]),
  );
}

/** The maps whose keys are the author's. */
const MAPS: readonly Path[] = [
  ['env'],
  ['labels'],
  ['annotations'],
  ['serviceAccountAnnotations'],
  ['scheduling', 'nodeSelector'],
];

function withKey(value: unknown, path: Path, key: string): unknown {
  const [first, ...rest] = path;
  const entries = Object.entries((value ?? {}) as object);
  if (first === undefined) return Object.fromEntries([...entries, [key, 'x']]);
  const inner = (value as Readonly<Record<string, unknown>> | undefined)?.[first];
  return Object.fromEntries([...entries, [first, withKey(inner, rest, key)]]);
}

const accepted = (input: unknown): ModelSpec | undefined => {
  try {
    return parseModel(input);
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
};

const environment = parseEnvironment({});
const FILE = { name: 'iris.onnx', bytes: Buffer.from('onnx'), sha256: 'a'.repeat(64) };

/** Texts that Kubernetes, a process or a request could not be given. */
const UNUSABLE = /\0|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

function rendered(spec: ModelSpec): void {
  let objects: readonly object[];
  try {
    objects = objectsOf(
      withFiles(spec, () => FILE),
      environment,
    );
  } catch (error) {
    // It is told with its path; a definition that is right by itself may not fit its environment.
    expect(error).toBeInstanceOf(DefinitionError);
    return;
  }
  const texts = JSON.stringify(objects, (key, value: unknown) => {
    const isBroken = typeof value === 'string' && UNUSABLE.test(value);
    if (isBroken || UNUSABLE.test(key)) throw new Error(`unusable text at ${key}`);
    return value;
  });
  for (const [, path] of texts.matchAll(/"httpGet":\{"path":"([^"]*)"/g)) {
    expect(path).toMatch(/^\/[!-~]*$/);
  }
}

function planned(spec: ModelSpec): void {
  for (const arm of spec.arms) {
    try {
      checkRunnable(spec, arm);
    } catch (error) {
      expect(error).toBeInstanceOf(ClusterError);
      continue;
    }
    const { args, env } = replicaPlanOf(spec, arm, '/models/a.onnx', 0);
    expect([...args, ...Object.entries(env).flat()].join('')).not.toContain('\0');
  }
}

function carried({ id, arms, inference: { cohort }, source }: ModelSpec): void {
  for (const { name, version } of arms) {
    for (const value of [id, name, version]) validateHeaderValue('x-ai-model', value);
  }
  if ('header' in cohort) validateHeaderName(cohort.header);
  if (source?.endpoint !== undefined) expect(() => new URL(source.endpoint ?? '')).not.toThrow();
  if (source?.scheme === 'https') expect(() => new URL(source.uri)).not.toThrow();
}

function stored(spec: ModelSpec): void {
  const options = { by: 'x', manager: 'rest' };
  const { stored: kept } = applyTo(new Map(), { spec, options, artifacts: {}, now: AT });
  const read = JSON.parse(JSON.stringify(kept)) as typeof kept;
  expect(parseModel(read.definition).definition).toEqual(spec.definition);
  for (const arm of spec.arms) pinOf(spec, arm, read);
  expect(fromWire(toWire(fromWire(spec.definition) as Parameters<typeof toWire>[0]))).toEqual(
    fromWire(spec.definition),
  );
}

async function shown(spec: ModelSpec): Promise<void> {
  const record = { ...recordOf(), spec };
  const snapshot = snapshotOf(record);
  const faults: string[] = [];
  const table = buildTable(snapshot, 1, 1, undefined, (id) => void faults.push(id));
  expect(faults).toEqual([]);
  expect([...table.models.keys()]).toEqual([spec.id]);
  JSON.stringify([
    summaryView(record),
    statusView(record, { all: [], origin: 'http://x', broken: [], history: [] }),
  ]);
  const metrics = createMetrics(undefined, (id) => void faults.push(id));
  metrics.observe({ ...observationOf([record]), table });
  expect(await textOf(metrics)).toContain(`model_id="${spec.id}"`);
  expect(faults).toEqual([]);
}

async function usedByAll(spec: ModelSpec): Promise<void> {
  rendered(spec);
  planned(spec);
  carried(spec);
  stored(spec);
  await shown(spec);
}

const EVERYWHERE = BASES.flatMap((base) => placesOf(base).map((path) => ({ base, path })));

test('the base definitions are valid', () => {
  for (const base of BASES) expect(accepted(base)).toBeDefined();
  expect(EVERYWHERE.length).toBeGreaterThan(70);
});

test('every text that the schema accepts at one place is usable by every reader', async () => {
  let taken = 0;
  for (const [place, { base, path }] of EVERYWHERE.entries()) {
    // Every text at every second place, and every place with every second text: both are many.
    for (const text of HOSTILE.filter((_, at) => (place + at) % 2 === 0)) {
      const spec = accepted(laid(base, path, text));
      if (spec === undefined) continue;
      taken += 1;
      await usedByAll(spec);
    }
  }
  expect(taken).toBeGreaterThan(100);
}, 60_000);

test('every accepted name of a variable, a label or an annotation is usable', async () => {
  for (const path of MAPS) {
    for (const key of HOSTILE) {
      const spec = accepted(withKey(BASES[0], path, key));
      if (spec !== undefined) await usedByAll(spec);
    }
  }
  for (const path of MAPS.slice(0, 3)) {
    expect(accepted(withKey(BASES[0], path, 'constructor'))).toBeDefined();
    expect(accepted(withKey(BASES[0], path, 'hasOwnProperty'))).toBeDefined();
  }
});

test('every accepted text is usable', async () => {
  const anywhere = fc.tuple(
    fc.constantFrom(...EVERYWHERE),
    fc.oneof(anyText, fc.string(), anyUrl, fc.string({ unit: 'grapheme' })),
  );
  await fc.assert(
    fc.asyncProperty(anywhere, async ([{ base, path }, text]) => {
      const spec = accepted(laid(base, path, text));
      if (spec !== undefined) await usedByAll(spec);
    }),
    { numRuns: rounds(30) },
  );
}, 60_000);

test('every accepted health path can be requested', async () => {
  const path = fc.oneof(anyText, anyPath, fc.constantFrom(...HOSTILE));
  await fc.assert(
    fc.asyncProperty(path, async (text) => {
      const spec = accepted({ ...BASES[0], health: { path: text } });
      if (spec === undefined) return;
      // Nobody listens there: whatever is wrong, it is not the path.
      const said = await probe('127.0.0.1', 1, { http: spec.health.path ?? '/' }, spec.id);
      expect(said?.message).toMatch(/ECONNREFUSED|EADDRNOTAVAIL/);
    }),
    { numRuns: rounds(30) },
  );
});

test('every accepted variable and argument can be given to a process', () => {
  for (const text of HOSTILE) {
    const spec = accepted({ ...BASES[0], env: { A: text }, args: [text] });
    if (spec === undefined) continue;
    const env = { A: spec.arms[0].env['A'] as string };
    const { error, status } = spawnSync(process.execPath, ['--version', ...(spec.args ?? [])], {
      env,
    });
    expect([error, status]).toEqual([undefined, 0]);
  }
});
