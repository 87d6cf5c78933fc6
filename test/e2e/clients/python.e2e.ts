import { join } from 'node:path';
import { until } from '../service';
import { programsOf } from './page';
import type { Scene } from './scene';
import { startScene } from './scene';
import type { Python } from './venv';
import { pythonWith } from './venv';

// Triton's and KServe's own clients in Python, unchanged: the same calls towards the service and
// towards its model server directly come to the same.

/** A loaded machine is no fault of ours. */
const PATIENT_MS = 360_000;

/** What a script prints, by part and call. */
type Told = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const triton = pythonWith('triton');
const kserve = pythonWith('kserve');
const where = (python: Python | undefined) => (python === undefined ? describe.skip : describe);

let scene: Scene;

beforeAll(async () => {
  if (triton === undefined && kserve === undefined) return;
  scene = await startScene();
}, PATIENT_MS);

afterAll(() => scene?.end());

const hostOf = (url: string): string => url.replace('http://', '');

async function tell(
  python: Python | undefined,
  script: string,
  ...args: readonly string[]
): Promise<Told> {
  return JSON.parse((await python?.run(join(__dirname, script), ...args)) ?? '{}') as Told;
}

const NOBODY = 'there is no model nobody; GET /api/v1/models lists them';
const LONGS = ['9223372036854775807', '-9223372036854775808', 0];

/** Runs what the page shows, and gives what that prints. */
async function printed(name: string, python: Python | undefined): Promise<readonly string[]> {
  const said: string[] = [];
  for (const program of programsOf('python', name, scene)) {
    said.push((await python?.run('-c', program)) ?? '');
  }
  return said;
}

const RISK = /low|moderate|high/;

where(triton)('the page about clients', () => {
  test(
    'the programs with Triton’s client do what the page says',
    async () => {
      const label = expect.stringMatching(RISK);
      expect(await printed('triton', triton)).toEqual([label, label]);
    },
    PATIENT_MS,
  );
});

where(kserve)('the page about clients', () => {
  test(
    'the programs with KServe’s client do what the page says',
    async () => {
      const [rows, tensors] = await printed('kserve', kserve);
      expect(rows).toMatch(/^\['\S+证', '\S+证'\]/);
      expect(tensors?.trim().split('\n')).toEqual([
        expect.stringMatching(RISK),
        expect.stringMatching(RISK),
      ]);
    },
    PATIENT_MS,
  );
});

where(triton)('Triton’s HTTP client', () => {
  let own: Told;
  let direct: Told;

  beforeAll(async () => {
    own = await tell(triton, 'triton_http.py', hostOf(scene.service.url), '--router');
    direct = await tell(triton, 'triton_http.py', hostOf(scene.direct));
  }, PATIENT_MS);

  test.each([
    ['tensors, in binary and in JSON, with the outputs that were asked for', 'tensors'],
    ['calls that are packed', 'compressed'],
    ['calls that are made at once', 'at once'],
  ])('%s match the response of the model server', (_, part) => {
    expect(Object.keys(own[part] ?? {}).length).toBeGreaterThan(2);
    expect(own[part]).toEqual(direct[part]);
  });

  test('integers and texts come back as sent', () => {
    expect(own['tensors']).toMatchObject({
      longs: { y: { dtype: 'int64', shape: [1, 3], data: LONGS } },
      texts: { y: { dtype: 'object', data: ['头痛', '', 'a"b\\c', 'x'.repeat(300)] } },
      'one output': { best: { dtype: 'int64' } },
      id: 'call-7',
    });
  });

  test('gzip passes compressed in both directions', () => {
    expect(scene.packed.calls.filter(({ there, back }) => there || back)).toEqual([
      { there: true, back: false },
      { there: false, back: true },
      { there: true, back: true },
    ]);
  });

  test('errors of the model server have its text, those of the router their own', () => {
    const { 'no model': noModel, 'no metadata': noMetadata, ...rest } = own['failures'] ?? {};
    expect([noModel, noMetadata]).toEqual([
      { status: '404', message: NOBODY },
      { status: '404', message: NOBODY },
    ]);
    expect(direct['failures']).toMatchObject(rest);
    expect(rest['wrong name']).toEqual({
      status: '400',
      message: 'the model has no input "z"; it has x',
    });
  });

  test('live, ready, metadata and the index', () => {
    expect(own['about']).toEqual(direct['about']);
    expect(own['about']).toMatchObject({
      live: true,
      ready: true,
      'model ready': true,
      'nobody ready': false,
    });
    const ready = { version: 'v2.0.0', state: 'READY', reason: '' };
    expect(own['index']).toEqual({
      server: expect.objectContaining({ name: 'ai-model-service' }),
      models: expect.arrayContaining([
        { name: 'floats', ...ready },
        { name: 'health_assessment', ...ready },
      ]),
    });
  });
});

where(triton)('Triton’s gRPC client', () => {
  let grpc: Told;
  let http: Told;

  beforeAll(async () => {
    grpc = await tell(triton, 'triton_grpc.py', scene.grpc);
    http = await tell(triton, 'triton_http.py', hostOf(scene.direct));
  }, PATIENT_MS);

  test('tensors match the response of the model server over HTTP', () => {
    const { floats, 'one output': one, longs } = http['tensors'] ?? {};
    expect(grpc['tensors']).toEqual({
      floats,
      longs,
      'one output': one,
      gzip: longs,
      version: longs,
      'in time': longs,
      id: 'call-7',
      texts: { y: { dtype: 'object', shape: [1, 3], data: ['头痛', '', 'x'.repeat(300)] } },
    });
  });

  test('a response of many megabytes, and many calls at once', () => {
    expect(grpc['large']).toBe(true);
    expect(grpc['at once']).toEqual(Array.from({ length: 8 }, (_, one) => [one, one, one]));
  });

  test('errors have gRPC codes, and a deadline ends the call at the server, too', async () => {
    expect(grpc['failures']).toMatchObject({
      'no model': { status: 'StatusCode.NOT_FOUND', message: NOBODY },
      'wrong type': {
        status: 'StatusCode.INVALID_ARGUMENT',
        message: 'input \'x\': datatype is "INT64"; the model takes FP32',
      },
      'no time': { status: 'StatusCode.DEADLINE_EXCEEDED' },
      'no such call': { status: 'StatusCode.UNIMPLEMENTED' },
    });
    await until('the server sees it', scene.packed.left, (left) => left > 0, PATIENT_MS);
  });

  test('live, ready, metadata and the index', () => {
    expect(grpc['about']).toMatchObject({
      live: true,
      ready: true,
      'model ready': true,
      server: { name: 'ai-model-service' },
      metadata: { name: 'floats', versions: ['v2.0.0'] },
      index: { models: expect.arrayContaining([expect.objectContaining({ name: 'floats' })]) },
    });
  });
});

where(kserve)('KServe’s clients', () => {
  let own: Told;
  let direct: Told;

  beforeAll(async () => {
    own = await tell(kserve, 'kserve_clients.py', scene.service.url, scene.grpc);
    direct = await tell(kserve, 'kserve_clients.py', scene.direct);
  }, PATIENT_MS);

  test('V1: rows match the response of the model server', () => {
    const { 'no model': noModel, ...rest } = own['v1'] ?? {};
    expect(direct['v1']).toMatchObject(rest);
    expect(rest['ready']).toBe(true);
    expect(rest['predict']).toMatchObject({ predictions: [{ label: 'high' }, { label: 'high' }] });
    expect(noModel).toEqual({ kind: 'HTTPStatusError', message: `${NOBODY}, '404 Not Found'` });
    expect(own['v1 live']).toBe(true);
  });

  test('V2: tensors, in binary and in JSON, match the response of the model server', () => {
    expect(own['v2']).toEqual(direct['v2']);
    expect(own['v2']).toMatchObject({
      live: true,
      'server ready': true,
      ready: true,
      'nobody ready': false,
      'binary longs': { outputs: { y: { data: LONGS } } },
      longs: { outputs: { y: { data: LONGS } } },
    });
  });

  test('gRPC: tensors match the response of the model server over HTTP', () => {
    const { 'binary floats': floats, 'binary longs': longs } = direct['v2'] ?? {};
    expect(own['grpc']).toMatchObject({
      live: true,
      'server ready': true,
      ready: true,
      'binary floats': floats,
      'binary longs': longs,
      'binary texts': direct['v2']?.['binary texts'],
      typed: floats,
    });
  });
});
