import { sampleData } from '../../cli/commands/dev';
import { mergePatch } from '../../lib/spec/update';
import { parseConfig } from '../../runtime/app/config';
import { cohortKeyOf } from '../../runtime/data/routing/cohort';
import type { Service } from '../control/support';
import { ask, codeOf, iris, place, serve } from '../control/support';
import { json, startBackend, stopBackends } from '../support/backend';
import type { Behave } from '../support/backend';
import { startPlane, stopPlanes } from '../support/plane';
import { speaking } from '../support/servers';

// Names that every object inherits are names like any other, wherever somebody chooses one.

const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] as const;

/** Text, for an object literal cannot hold the first name. */
const object = (values: readonly unknown[]): string =>
  `{${NAMES.map((name, at) => `"${name}":${JSON.stringify(values[at])}`).join(',')}}`;

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

describe('inputs with names of inherited methods', () => {
  const VALUES = [1, 2, 3, 4] as const;
  /** Gives each input back as an output of the same name. */
  const echoV2: Behave = ({ body }) => {
    // Without a body its metadata is asked for.
    if (body.length === 0) return json({}, 404);
    const { inputs } = JSON.parse(body.toString()) as { inputs: object[] };
    return json({ model_name: 'iris', outputs: inputs });
  };
  const echoV1: Behave = ({ body }) => {
    if (body.length === 0) return json({}, 404);
    const { instances } = JSON.parse(body.toString()) as { instances: object[] };
    return json({ predictions: instances });
  };

  test('reach a V2 server as tensors, from V1 rows and back', async () => {
    const backend = await startBackend(echoV2);
    const plane = await startPlane();
    plane.route({ input: speaking('v2'), ports: { stable: [backend.port] } });
    const rows = `[${object(VALUES)},${object([5, 6, 7, 8])}]`;
    const got = await plane.ask('/v1/models/iris:predict', { body: `{"instances":${rows}}` });
    expect([got.status, got.text]).toEqual([200, expect.stringContaining(`"predictions":${rows}`)]);
    const last = JSON.parse(backend.seen.at(-1)?.body.toString() ?? '') as {
      inputs: { name: string; data: number[] }[];
    };
    expect(last.inputs.map(({ name, data }) => [name, data])).toEqual(
      NAMES.map((name, at) => [name, [at + 1, at + 5]]),
    );
  });

  test('reach a V1 server as rows, from V2 tensors, native calls and a native batch', async () => {
    const backend = await startBackend(echoV1);
    const plane = await startPlane();
    plane.route({ input: speaking('v1'), ports: { stable: [backend.port] } });
    const sent = (): string => backend.seen.at(-1)?.body.toString() ?? '';
    const inputs = NAMES.map((name, at) => ({
      name,
      datatype: 'INT64',
      shape: [1],
      data: [at + 1],
    }));
    const v2 = await plane.post('/v2/models/iris/infer', { inputs });
    expect([v2.status, sent()]).toEqual([200, `{"instances":[${object(VALUES)}]}`]);
    const native = `{"input_data":${object(VALUES)}}`;
    const one = await plane.ask('/api/v1/models/iris/inference', { body: native });
    expect([one.status, sent()]).toEqual([200, `{"instances":[${object(VALUES)}]}`]);
    expect(one.text).toContain(object(VALUES));
    const batch = await plane.ask('/api/v1/models/iris/batch_inference', {
      body: `{"requests":[${native},${native}]}`,
    });
    expect(batch.status).toBe(200);
    expect(batch.text.split(object(VALUES))).toHaveLength(3);
  });

  test('are in the example that the command line prints', () => {
    const inputs = ['constructor.x', '__proto__.y', 'toString'].map((name) => ({
      name,
      datatype: 'FP32',
      shape: [-1, 1],
    }));
    expect(JSON.stringify(sampleData(inputs))).toBe(
      '{"constructor":{"x":1},"__proto__":{"y":1},"toString":1}',
    );
    expect(({} as Record<string, unknown>)['y']).toBeUndefined();
  });
});

test('a token without the claim has no value for it', () => {
  const tokenOf = (claims: string): string =>
    `Bearer e30.${Buffer.from(claims).toString('base64url')}.x`;
  for (const claim of [...NAMES, 'valueOf']) {
    expect(cohortKeyOf({ claim }, { get: () => tokenOf('{}') })).toBeUndefined();
    expect(cohortKeyOf({ claim }, { get: () => tokenOf(`{"${claim}":"me"}`) })).toBe('me');
  }
});

test('sections with such names are unknown sections of the configuration', () => {
  const given = (name: string): unknown => parseConfig('', { [`AI_MODEL_SERVICE__${name}`]: '1' });
  expect(() => given('CONSTRUCTOR__NAME')).toThrow('constructor: unknown field');
  expect(() => parseConfig('constructor:\n  name: x\n')).toThrow('constructor: unknown field');
});

test('a patch sets keys with such names, and finds nothing inherited below them', () => {
  const patch = JSON.parse(`{"env":${object(['a', { b: 1 }, 'c', 'd'])}}`) as object;
  expect(JSON.stringify(mergePatch({ env: {} }, patch))).toBe(
    `{"env":${object(['a', { b: 1 }, 'c', 'd'])}}`,
  );
});

describe('the management API with such names', () => {
  let service: Service;
  beforeAll(async () => {
    service = await serve();
  });
  afterAll(() => service.close());

  test.each(['constructor', 'prototype', 'valueof', 'tostring'])(
    'deploys, shows, measures and removes a model %s with candidates',
    async (id) => {
      const candidates = ['keys', 'constructor', 'tostring'].map((name, at) => ({
        name,
        version: `2.${at}`,
        ...(at < 2 ? { traffic: 10 } : { shadow: 10 }),
      }));
      const env = { constructor: 'a', toString: 'b', hasOwnProperty: 'c' };
      const labels = { annotations: { constructor: 'x', toString: 'y' } };
      await place(service, iris({ model_id: id, candidates, env, ...labels }));
      const url = `${service.url}/api/v1/models/${id}`;
      const status = await ask(`${url}/status`);
      expect(status.status).toBe(200);
      expect(status.body['arms']).toMatchObject([
        { name: 'stable' },
        ...candidates.map(({ name }) => ({ name })),
      ]);
      expect((await ask(url)).body['environment_variables']).toEqual(env);
      const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text();
      expect(metrics).toContain(`model_id="${id}",arm="constructor"`);
      expect((await ask(url, 'DELETE')).status).toBe(202);
    },
  );

  test.each(NAMES)(
    'treats a parameter %s of a query as unknown, and a header of that name as absent',
    async (name) => {
      const url = `${service.url}/api/v1/models`;
      const reply = await ask(`${url}?${name}=1`);
      expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
      const headed = await fetch(url, { headers: { [name]: 'x' } });
      expect(headed.status).toBe(200);
    },
  );
});
