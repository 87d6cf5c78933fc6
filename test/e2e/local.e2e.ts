import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/sources';
import type { Running } from './service';
import { load, start, until, workspace } from './service';

// The whole path as a user walks it: definitions in a folder, the built command, real models, real
// processes.

const SEED = {
  input_data: {
    symptoms: ['头痛', '乏力', '食欲不振'],
    patient_info: { age: 35, gender: 'female' },
  },
};
const MODELS = '/api/v1/models';
const ID = 'deep_tcm_diagnosis';

let place: ReturnType<typeof workspace>;
let service: Running;

// Answers are looked into freely here; the API document is checked elsewhere.
// oxlint-disable-next-line typescript/no-explicit-any
const status = async (id: string): Promise<any> =>
  (await service.call('GET', `${MODELS}/${id}/status`)).json();

const running = (id: string): Promise<unknown> =>
  until(
    `${id} runs`,
    () => status(id),
    (seen: any) => seen.status === 'running', // oxlint-disable-line typescript/no-explicit-any
  );

/** Process ids of model servers that this service started: its children, from /proc. */
function children(pid: number): readonly number[] {
  const text = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return text
    .split('\n')
    .map(Number)
    .filter((one) => one > 0 && alive(one));
}

function alive(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

beforeAll(async () => {
  place = workspace();
  service = await start(place.folder);
  await running(ID);
});

afterAll(async () => {
  await service?.end('SIGTERM');
  place?.remove();
});

test('the seed request gets a syndrome with a confidence, natively', async () => {
  const answer = await service.call('POST', `${MODELS}/${ID}/inference`, SEED);
  expect(answer.status).toBe(200);
  const { output_data: output, confidence, model_version: version } = answer.json();
  expect(output.syndrome).toEqual(expect.any(String));
  expect(confidence).toBeGreaterThan(0);
  expect(confidence).toBeLessThanOrEqual(1);
  expect(version).toMatch(/^v3\.0\.[12]$/);
});

test('a batch, V1 and V2 give the same', async () => {
  const batch = await service.call('POST', `${MODELS}/${ID}/batch_inference`, {
    requests: [SEED, { input_data: { symptoms: 7 } }, SEED],
  });
  expect(batch.json()).toMatchObject({ succeeded: 2, failed: 1 });
  const v1 = await service.call('POST', `/v1/models/${ID}:predict`, {
    instances: [
      { symptoms: ['头痛', '乏力'], 'patient_info.age': 35, 'patient_info.gender': 'female' },
    ],
  });
  expect(v1.status).toBe(200);
  expect(v1.json().predictions).toHaveLength(1);
  const v2 = await service.call('POST', `/v2/models/${ID}/infer`, {
    inputs: [
      { name: 'symptoms', datatype: 'BYTES', shape: [1, 2], data: ['头痛', '乏力'] },
      { name: 'patient_info.age', datatype: 'FP32', shape: [1, 1], data: [35] },
      { name: 'patient_info.gender', datatype: 'BYTES', shape: [1, 1], data: ['female'] },
    ],
  });
  expect(v2.text).toContain('syndrome');
  expect(v2.status).toBe(200);
});

interface Stored {
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}
interface Case {
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly outputs: Readonly<Record<string, Stored>>;
}

test('any .onnx file beside a three-line definition is served, with the numbers of Python', async () => {
  const fixtures = join(ROOT, 'test', 'onnx', 'fixtures');
  const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as Record<
    string,
    readonly Case[]
  >;
  copyFileSync(join(fixtures, 'batchable.onnx'), join(place.folder, 'models', 'any.onnx'));
  writeFileSync(
    join(place.folder, 'models', 'any.yaml'),
    'model_id: any\nversion: "1"\nframework: onnx\n',
  );
  const statusOf = () => service.call('GET', `${MODELS}/any/status`);
  await until('its file is seen', statusOf, (seen) => seen.status === 200);
  await running('any');
  for (const { inputs, outputs } of expected['batchable.onnx'] ?? []) {
    const tensors = Object.entries(inputs).map(([name, tensor]) => ({ name, ...tensor }));
    const answer = await service.call('POST', '/v2/models/any/infer', { inputs: tensors });
    expect(answer.status).toBe(200);
    for (const { name, shape, datatype, data } of answer.json().outputs) {
      const wanted = outputs[name];
      expect({ shape, datatype }).toEqual({ shape: wanted?.shape, datatype: wanted?.datatype });
      (data as number[]).forEach((value, at) => {
        const right = Number(wanted?.data[at]);
        expect(Math.abs(value - right)).toBeLessThanOrEqual(1e-5 * Math.abs(right) + 1e-9);
      });
    }
  }
});

test('a new version under load, scaling and rollback lose no request', async () => {
  const traffic = load(`${service.url}${MODELS}/${ID}/inference`, SEED, 10);
  const put = await service.call('PUT', `${MODELS}/${ID}`, {
    config: { version: 'v3.0.9', environment_variables: { ROLLED: 'yes' } },
  });
  expect(put.status).toBe(202);
  await running(ID);
  expect((await status(ID)).version).toBe('v3.0.9');
  const scaled = await service.call('POST', `${MODELS}/${ID}/scale`, { replicas: 2 });
  expect(scaled.json()).toMatchObject({ target_replicas: 2 });
  await until(
    'two replicas',
    () => status(ID),
    (seen) => seen.replicas.ready === 2 && seen.status === 'running',
  );
  const { versions } = (await service.call('GET', `${MODELS}/${ID}/versions`)).json();
  const first = versions.at(-1).revision as number;
  const back = await service.call('POST', `${MODELS}/${ID}/rollback`, { revision: first });
  expect(back.status).toBe(202);
  await until(
    'v3.0.1',
    () => status(ID),
    (seen) => seen.version === 'v3.0.1',
  );
  await running(ID);
  const { sent, failed } = await traffic.stop();
  expect(failed).toEqual([]);
  expect(sent).toBeGreaterThan(50);
});

test('a killed model server is restarted without an error for callers', async () => {
  await service.call('POST', `${MODELS}/${ID}/scale`, { replicas: 2 });
  await until(
    'two replicas',
    () => status(ID),
    (seen) => seen.replicas.ready === 2 && seen.status === 'running',
  );
  const traffic = load(`${service.url}${MODELS}/${ID}/inference`, SEED, 10);
  await until(
    'traffic',
    () => traffic.sent(),
    (sent) => sent > 50,
  );
  const before = children(service.process.pid ?? 0);
  // The newest one is the replica just added; an older one may be draining and not come back.
  const killed = Math.max(...before);
  process.kill(killed, 'SIGKILL');
  await until(
    'a new process',
    () => children(service.process.pid ?? 0),
    (now) => !now.includes(killed) && now.some((pid) => !before.includes(pid)),
  );
  await running(ID);
  const { failed } = await traffic.stop();
  expect(failed).toEqual([]);
});

test('kill −9 of the service leaves no orphan, and a restart restores everything', async () => {
  const seen = (await service.call('GET', `${MODELS}/${ID}`)).json();
  const servers = children(service.process.pid ?? 0);
  expect(servers.length).toBeGreaterThan(2);
  await service.end('SIGKILL');
  await until(
    'no orphan',
    () => servers.filter(alive),
    (left) => left.length === 0,
  );
  service = await start(place.folder);
  await running(ID);
  expect((await service.call('GET', `${MODELS}/${ID}`)).json()).toEqual(seen);
  expect((await service.call('POST', `${MODELS}/${ID}/inference`, SEED)).status).toBe(200);
});

test('a dry run returns the objects of the project’s own environment, and changes nothing', async () => {
  const config = {
    model_id: 'rehearsed',
    version: '1',
    framework: 'onnx',
    repository_url: './health_assessment-v2.0.0.onnx',
  };
  const answer = await service.call('POST', `${MODELS}/deploy?dry_run=true`, { config });
  expect(answer.status).toBe(200);
  const { objects } = answer.json();
  const namespaces = objects.map(
    ({ metadata }: { metadata: { namespace: string } }) => metadata.namespace,
  );
  expect(new Set(namespaces)).toEqual(new Set(['clinic']));
  expect((await service.call('GET', `${MODELS}/rehearsed`)).status).toBe(404);
});

test('a model is deployed and deleted by REST', async () => {
  const config = {
    model_id: 'by_rest',
    version: '1',
    framework: 'onnx',
    repository_url: './health_assessment-v2.0.0.onnx',
  };
  const deployed = await service.call('POST', `${MODELS}/deploy`, { config });
  expect(deployed.status).toBe(202);
  await running('by_rest');
  expect((await service.call('DELETE', `${MODELS}/by_rest`)).status).toBe(202);
  await until(
    'gone',
    () => service.call('GET', `${MODELS}/by_rest`),
    ({ status: code }) => code === 404,
  );
});

test('definitions that were read by REST restore the models in an empty service, twice as well as once', async () => {
  // Models of other tests have artifacts that the empty service has not.
  const ids = [ID, 'health_assessment', 'personalized_treatment'];
  const read = async (from: Running): Promise<readonly unknown[]> =>
    Promise.all(
      ids.map(async (id) => (await from.call('GET', `${MODELS}/${id}`)).json() as unknown),
    );
  const backup = await read(service);
  const empty = workspace();
  const folder = join(empty.folder, 'models');
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.onnx')) rmSync(join(folder, name));
  }
  const other = await start(empty.folder);
  try {
    for (let times = 0; times < 2; times += 1) {
      const answers = await Promise.all(
        backup.map((config) => other.call('POST', `${MODELS}/deploy`, { config })),
      );
      expect(answers.map(({ status: code }) => code)).toEqual(ids.map(() => 202));
    }
    await until(
      'the restored model answers',
      () => other.call('POST', `${MODELS}/${ID}/inference`, SEED),
      ({ status: code }) => code === 200,
    );
    expect(await read(other)).toEqual(backup);
  } finally {
    await other.end('SIGTERM');
    empty.remove();
  }
});
