import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Arm, ModelSpec } from '../../lib/spec';
import type { AuditEntry } from '../../runtime/audit';
import type { ReplicaRecord } from '../../runtime/cluster/port';
import type { MemoryCluster } from '../support/memory-cluster';
import { createMemoryCluster } from '../support/memory-cluster';
import { parseConfig } from '../../runtime/app/config';
import type { Log } from '../../runtime/shared/log';
import type { ModelsFolder } from '../../runtime/app/models-folder';
import { openModelsFolder } from '../../runtime/app/models-folder';
import { until } from '../support/plane';

// A developer saves a definition; the log says what changed and when it answers.

const MODEL = 'health_assessment';

let cwd: string;
let cluster: MemoryCluster;
let lines: string[];
let synthesized: number;
let folder: ModelsFolder;
let phase: ReplicaRecord['phase'];

let audited: AuditEntry[];
const audit = { record: (entry: AuditEntry) => void audited.push(entry) };

const record =
  (level: string) =>
  (message: string, fields = {}): void =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
const log: Log = {
  debug: record('debug'),
  info: record('info'),
  warn: record('warn'),
  error: record('error'),
};

/** One replica in the phase that the test says. */
function replicasOf(spec: ModelSpec, arm: Arm, at: number): readonly ReplicaRecord[] {
  const why = { cause: 'crash', message: 'out of memory', since: 0 };
  const base = { id: `${spec.id}-${at}`, arm: arm.name, version: arm.version };
  const address = { host: '127.0.0.1', port: 9, restarts: 0, since: 0 };
  return [{ ...base, ...address, phase, ...(phase === 'failed' && { why }) }];
}

const definition = (maxReplicas: string): string =>
  `model_id: ${MODEL}\nversion: v2.0.0\nframework: onnx\nrepository_url: ./m.onnx\n` +
  `scaling_config: { max_replicas: ${maxReplicas} }\n`;

/** As `sed -i`, vim, JetBrains and `git checkout` save. */
function saveByRename(text: string): void {
  writeFileSync(join(cwd, 'models', '.next'), text);
  renameSync(join(cwd, 'models', '.next'), join(cwd, 'models', `${MODEL}.yaml`));
}

const logged = (part: string): boolean => lines.some((line) => line.includes(part));

function revision(): number | undefined {
  const watch = cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot().models.get(MODEL)?.revision;
}

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'models-folder-'));
  mkdirSync(join(cwd, 'models'));
  cpSync(join('models', `${MODEL}-v2.0.0.onnx`), join(cwd, 'models', 'm.onnx'));
  saveByRename(definition('2'));
  phase = 'ready';
  cluster = createMemoryCluster({ now: Date.now, replicasOf });
  lines = [];
  synthesized = 0;
  audited = [];
  const config = parseConfig('models: { watch: true }', {}, 'test');
  const onModelsChanged = async (): Promise<void> => void (synthesized += 1);
  folder = openModelsFolder({ config, cwd, log, onModelsChanged }, cluster, audit);
  await folder.ready;
  await folder.sync();
});
afterEach(async () => {
  await folder.stop();
  await cluster.close();
  rmSync(cwd, { recursive: true });
});

test('applies every save by rename, logs the file, and logs when the model answers', async () => {
  for (const [at, replicas] of ['3', '4', '5'].entries()) {
    lines.length = 0;
    saveByRename(definition(replicas));
    await until(() => logged('answers with its new definition'), `save ${at}: ${lines.join()}`);
    expect(lines[0]).toBe(`info models/${MODEL}.yaml changed {}`);
    expect(revision()).toBe(at + 2);
    await until(() => synthesized === at + 1, 'the manifests');
  }
});

test('logs each reason why a model does not start once, and that it answers in the end', async () => {
  phase = 'failed';
  saveByRename(definition('3'));
  await until(() => logged('does not start: out of memory'), lines.join());
  cluster.refresh();
  phase = 'ready';
  cluster.refresh();
  await until(() => logged('answers with its new definition'), lines.join());
  expect(lines.filter((line) => line.includes('does not start'))).toEqual([
    `warn does not start: out of memory {"model":"${MODEL}"}`,
  ]);
});

test('keeps the model on a broken save and logs the fault; applies the corrected file', async () => {
  saveByRename(definition('many'));
  await until(() => logged('max_replicas'), lines.join());
  expect(revision()).toBe(1);
  saveByRename(definition('7'));
  await until(() => revision() === 2, 'the mended definition');
});

test('the audit record has what files change', async () => {
  saveByRename(definition('3'));
  await until(() => synthesized === 1, 'the change');
  rmSync(join(cwd, 'models', `${MODEL}.yaml`));
  await until(() => synthesized === 2, 'the removal');
  const line = { caller: 'files', model: MODEL, status: 200, at: expect.any(Number) };
  const applied = { ...line, action: 'deploy', reason: 'its file has changed' };
  expect(audited).toEqual([
    applied,
    applied,
    { ...line, action: 'delete', reason: 'its file is gone' },
  ]);
});

test('logs a model that the cluster refuses, also at the start', async () => {
  const config = parseConfig('local: { directory: other }', {}, 'test');
  const refusing = { ...cluster, apply: () => Promise.reject(new Error('no room for it')) };
  const other = openModelsFolder({ config, cwd, log }, refusing, audit);
  await other.sync();
  expect(lines).toEqual([`warn no room for it {"model":"${MODEL}"}`]);
});
