import path from 'node:path';
import { snippetsOf } from '../support/snippets';
import { fixtures, json, MODELS, post, startServer } from './support/server';
import type { Reply, TestServer } from './support/server';

let server: TestServer;
let alone: TestServer;

const DIAGNOSIS = {
  name: 'deep_tcm_diagnosis',
  version: 'v3.0.1',
  path: path.join(MODELS, 'deep_tcm_diagnosis-v3.0.1.onnx'),
};

const HEALTH = {
  name: 'health_assessment',
  version: 'v2.0.0',
  path: path.join(MODELS, 'health_assessment-v2.0.0.onnx'),
};

beforeAll(async () => {
  const names = ['with_metadata', 'batchable', 'scalar', 'identity_fp32', 'identity_string'];
  const rest = ['zipmap_strings', 'fixed_batch', 'vector'];
  [server, alone] = await Promise.all([
    startServer({ models: [...fixtures(...names, ...rest), DIAGNOSIS, HEALTH] }),
    startServer({ models: [DIAGNOSIS] }),
  ]);
});

afterAll(async () => {
  await Promise.all([server.stop(), alone.stop()]);
});

const infer = (model: string, input: unknown, more = {}): Promise<Reply> =>
  post(`${server.url}/inference?model=${model}`, { input_data: input, ...more });

async function result(model: string, input: unknown): Promise<Record<string, unknown>> {
  const reply = await infer(model, input);
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return (json(reply) as { result: Record<string, unknown> }).result;
}

async function refused(model: string, input: unknown, more = {}): Promise<string> {
  const reply = await infer(model, input, more);
  expect(reply.status).toBe(400);
  return (json(reply) as { error: { message: string } }).error.message;
}

describe('one inference', () => {
  test('answers the seed’s request unchanged, and needs no model name for a single model', async () => {
    const reply = await post(`${alone.url}/inference`, {
      input_data: {
        symptoms: ['头痛', '乏力', '食欲不振'],
        patient_info: { age: 35, gender: 'female' },
      },
    });
    expect(reply.status).toBe(200);
    const answer: Record<string, unknown> = json(reply);
    expect(answer).toMatchObject({
      result: { syndrome: '气血两虚证', unknown_symptoms: [] },
      model_version: 'v3.0.1',
      resource_usage: { batch_size: 1 },
    });
    expect(answer['confidence']).toBeCloseTo(0.47277611, 5);
    const { probabilities } = answer['result'] as { probabilities: Record<string, number> };
    expect(Object.keys(probabilities)).toHaveLength(26);
    expect(probabilities['气血两虚证']).toBeCloseTo(0.47277611, 5);
    const usage = answer['resource_usage'] as { duration_ms: number; memory_bytes: number };
    expect(usage.duration_ms).toBeGreaterThan(0);
    expect(usage.memory_bytes).toBeGreaterThan(1e7);
  });

  test('reports unknown words', async () => {
    const answer = await result('deep_tcm_diagnosis', { symptoms: ['头痛', 'xyz', '乏力'] });
    expect(answer['unknown_symptoms']).toEqual(['xyz']);
  });

  test('takes missing or null values from the defaults of the file', async () => {
    expect(await result('with_metadata', { x: [0.5, 1] })).toEqual({
      probabilities: { no: expect.closeTo(0.26894143), yes: expect.closeTo(0.7310586) },
      word: ['hello'],
      seen: ['none'],
    });
    const given = { x: [0.5, 1], options: { word: 'bye', scale: null }, tags: ['a', 'b'] };
    expect(await result('with_metadata', given)).toMatchObject({ word: ['bye'], seen: ['a', 'b'] });
  });

  test('takes a dotted name as a path or literally', async () => {
    const flat = { x: [0.5, 1], 'options.scale': 3 };
    const deep = { x: [0.5, 1], options: { scale: 3 } };
    expect(await result('with_metadata', flat)).toEqual(await result('with_metadata', deep));
  });

  test('adds the batch dimension that the graph wants, and removes it again', async () => {
    const one = await result('batchable', { x: [1, 2, 3, 4] });
    expect(one).toMatchObject({ best: 0 });
    expect(one['y']).toHaveLength(3);
    expect(await result('batchable', { x: [[1, 2, 3, 4]] })).toEqual(one);
    const two = await result('batchable', {
      x: [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
    });
    expect(two).toEqual({ y: [one['y'], one['y']], best: [0, 0] });
    expect(await result('scalar', { x: 1.5, n: 1 })).toEqual({ doubled: 3, next: 2 });
  });

  test('takes the bare value when the model has one input', async () => {
    const named = await result('batchable', { x: [1, 2, 3, 4] });
    expect(await result('batchable', [1, 2, 3, 4])).toEqual(named);
  });

  test('names classes, with the largest as confidence', async () => {
    const reply = await infer('zipmap_strings', { X: [5.1, 3.5, 1.4, 0.2] });
    expect(json(reply)).toMatchObject({
      result: {
        output_label: 'setosa',
        output_probability: { setosa: expect.closeTo(0.98157942) },
      },
      confidence: expect.closeTo(0.98157942),
    });
    expect(json(await infer('with_metadata', { x: [0.5, 1] }))).toMatchObject({
      confidence: expect.closeTo(0.7310586),
    });
    expect(json(await infer('batchable', [1, 2, 3, 4]))).toMatchObject({ confidence: null });
  });

  test('writes values that JSON cannot express as strings', async () => {
    expect(await result('identity_fp32', { x: ['NaN', '-Infinity', 1] })).toEqual({
      y: ['NaN', '-Infinity', 1],
    });
  });

  test('leaves out the empty strings that fill up a row', async () => {
    expect(await result('identity_string', { x: ['', 'a', ''] })).toEqual({ y: ['a'] });
    expect(await result('identity_string', { x: ['', ''] })).toEqual({ y: [] });
  });
});

describe('one call of several rows', () => {
  interface Answer {
    readonly result: Record<string, unknown[]>;
    readonly confidence: unknown;
  }
  const answer = async (model: string, input: unknown): Promise<Answer> => {
    const reply = await infer(model, input);
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
    return json(reply);
  };
  const flowers = [
    [5.1, 3.5, 1.4, 0.2],
    [6.7, 3, 5.2, 2.3],
  ];

  test('keeps empty strings in their rows', async () => {
    expect(await answer('vector', { x: ['', 'b', ''] })).toMatchObject({
      result: { y: ['', 'b', ''] },
    });
    expect(await answer('vector', { x: [''] })).toMatchObject({ result: { y: '' } });
    const rows = [
      ['', 'b'],
      ['c', ''],
    ];
    expect(await answer('identity_string', { x: rows })).toMatchObject({ result: { y: rows } });
  });

  test('names the classes of each row, with a confidence each', async () => {
    const both = await answer('zipmap_strings', { X: flowers });
    const single = await Promise.all(flowers.map((row) => answer('zipmap_strings', { X: row })));
    const name = 'output_probability';
    for (const [row, one] of single.entries()) {
      const wanted = one.result[name] as unknown as Record<string, number>;
      const got = both.result[name]?.[row] as Record<string, number>;
      expect(Object.keys(got)).toEqual(Object.keys(wanted));
      expect(got['setosa']).toBeCloseTo(wanted['setosa'] as number, 5);
      const confidence = (both.confidence as number[])[row];
      expect(confidence).toBeCloseTo(one.confidence as number, 5);
      expect(confidence).toBe(Math.max(...Object.values(got)));
    }
    expect(both.result['output_label']).toEqual(single.map(({ result: of }) => of['output_label']));
  });

  test('has the confidence of each row where the graph outputs it', async () => {
    const symptoms = [['头痛'], ['口渴']];
    const both = await answer('deep_tcm_diagnosis', { symptoms });
    const single = await Promise.all(
      symptoms.map((one) => answer('deep_tcm_diagnosis', { symptoms: one })),
    );
    expect(both.confidence).toEqual(
      single.map(({ confidence }) => expect.closeTo(confidence as number, 5)),
    );
    expect(both.confidence).toEqual(both.result['confidence']);
  });

  test('has no confidence without an output for it', async () => {
    const x = [1, 2, 3, 4];
    expect(await answer('batchable', { x: [x, x] })).toMatchObject({ confidence: null });
    expect(await answer('batchable', { x })).toMatchObject({ confidence: null });
  });

  test('takes columns as V1 does, and repeats defaults for each row', async () => {
    const measurements = {
      bmi: [22, 31],
      blood_pressure: [120, 160],
      total_cholesterol: [5, 7],
      ldl: [3, 5],
      hdl: [1.4, 1],
      triglycerides: [1, 3],
      glucose: [5, 8],
    };
    const columns = { patient_info: { age: [35, 70] }, measurements };
    const both = await answer('health_assessment', columns);
    for (const [row, age] of [35, 70].entries()) {
      const own = Object.entries(measurements).map(([name, all]) => [name, all[row]]);
      const input = { patient_info: { age }, measurements: Object.fromEntries(own) };
      const single = await answer('health_assessment', input);
      expect(both.result['label']?.[row]).toBe(single.result['label']);
      const confidence = (both.confidence as number[])[row];
      expect(confidence).toBeCloseTo(single.confidence as number, 5);
    }
    const rows = [
      [0.5, 1],
      [1, 0.5],
    ];
    expect(await answer('with_metadata', { x: rows, options: { scale: [2, 3] } })).toMatchObject({
      result: { word: [['hello'], ['hello']], seen: [['none'], ['none']] },
    });
  });

  test('refuses columns of different lengths instead of repeating the shorter one', async () => {
    const options = { scale: [1, 2, 3], word: ['a', 'b'] };
    expect(await refused('with_metadata', { x: [0.5, 1], options })).toContain(
      "'options.scale' has 3 rows, 'options.word' has 2; give each input as many",
    );
    expect(await refused('with_metadata', { x: [0.5, 1], options: { scale: [] } })).toContain(
      "input 'options.scale': got shape [1,0]",
    );
  });
});

test('−0 keeps its sign in every protocol, as a float: readers make the integer 0 of -0', async () => {
  const tensor = '{"name":"x","datatype":"FP32","shape":[1,3],"data":[-0.0,0,-0]}';
  const bodies = {
    '/inference?model=identity_fp32': '{"input_data":{"x":[-0.0,0,-0]}}',
    '/v1/models/identity_fp32:predict': '{"instances":[[-0.0,0,-0]]}',
    '/v2/models/identity_fp32/infer': `{"inputs":[${tensor}]}`,
  };
  for (const [path_, body] of Object.entries(bodies)) {
    const { text } = await post(server.url + path_, body);
    expect(text).toContain('[-0.0,0,-0.0]');
  }
  const columns = await post(
    `${server.url}/v1/models/identity_fp32:predict`,
    '{"inputs":[[-0.0,0.5]]}',
  );
  expect(columns.text).toBe('{"outputs":[[-0.0,0.5]]}');
});

test('a body that is not UTF-8 is refused with the byte, in every protocol', async () => {
  const bodies = {
    '/inference?model=identity_string': ['{"input_data":{"x":["', '"]}}'],
    '/v1/models/identity_string:predict': ['{"instances":[["', '"]]}'],
    '/v2/models/identity_string/infer': ['{"inputs":[{"name":"x","data":["', '"]}]}'],
  };
  for (const [path_, [before = '', after = '']] of Object.entries(bodies)) {
    const body = Buffer.concat([Buffer.from(before), Buffer.of(0xc4, 0xe3), Buffer.from(after)]);
    const reply = await post(server.url + path_, body);
    expect(reply.status).toBe(400);
    expect(reply.text).toContain(`the body is not UTF-8, as JSON must be: byte ${before.length} `);
  }
});

test('NaN in nested data is refused, and the server continues', async () => {
  const deep = `{"input_data":{"x":${'['.repeat(200_000)}NaN${']'.repeat(200_000)}}}`;
  expect((await post(`${server.url}/inference?model=identity_fp32`, deep)).status).toBe(400);
  expect(await result('vector', { x: ['a'] })).toEqual({ y: 'a' });
});

describe('an invalid request', () => {
  test.each([
    ['deep_tcm_diagnosis', {}, "input_data: 'symptoms' is missing; the model takes symptoms, pat"],
    ['deep_tcm_diagnosis', { symptom: [] }, '"symptom" (did you mean "symptoms"?); it takes'],
    [
      'deep_tcm_diagnosis',
      { symptoms: [], patient_info: { agee: 1 } },
      '"patient_info.agee" (did you mean "patient_info.age"?)',
    ],
    ['deep_tcm_diagnosis', { symptoms: [], age: 1 }, '"age" (did you mean "patient_info.age"?)'],
    ['deep_tcm_diagnosis', { symptoms: [], patient_info: 5 }, '"patient_info"'],
    ['deep_tcm_diagnosis', { symptoms: [1] }, 'element 0 is 1; BYTES takes strings'],
    ['deep_tcm_diagnosis', { symptoms: { a: 1 } }, "'symptoms' is an object"],
    ['deep_tcm_diagnosis', [['头痛']], 'input_data is a list of 1; it must be an object with'],
    ['deep_tcm_diagnosis', undefined, 'input_data is missing'],
    ['batchable', { x: [1, 2, 3] }, 'got shape [1,3], the model takes [-1,4]'],
    ['batchable', { x: [[1, 2, 3, 4], [1]] }, 'data does not have the stated shape [2,4]'],
    ['batchable', { x: [[[1, 2, 3, 4]]] }, 'got shape [1,1,4]'],
    ['batchable', { x: [1, 2, 3, 'a'] }, 'element 3 is "a"; FP32 takes numbers'],
    ['batchable', { x: [1, 2, 3, [4]] }, 'element 3 is a list of 1'],
    ['fixed_batch', { x: [1, 2, 3] }, 'got shape [1,3], the model takes [2,3]'],
    ['identity_string', { x: ['a\0b'] }, 'NUL'],
    ['identity_string', { x: ['a', '\ud800'] }, 'element 1 holds half of a surrogate pair'],
  ])('is refused with %s for %j', async (model, input, message) => {
    expect(await refused(model, input)).toContain(message);
  });

  test('has parameters that are not an object', async () => {
    const x = { x: [1, 2, 3, 4] };
    expect(await refused('batchable', x, { parameters: 5 })).toContain('parameters is 5');
    expect((await infer('batchable', x, { parameters: { a: 1 } })).status).toBe(200);
    expect((await infer('batchable', x, { parameters: null })).status).toBe(200);
  });

  test('has no model name among several, or an unknown one', async () => {
    const several = await post(`${server.url}/inference`, { input_data: {} });
    expect([several.status, several.text]).toEqual([400, expect.stringContaining('?model=')]);
    expect((await infer('nope', {})).status).toBe(404);
  });
});

interface Result {
  readonly confidence: number;
  readonly result: Record<string, unknown>;
}

describe('a batch', () => {
  const batch = async (model: string, inputs: unknown[]): Promise<Record<string, never>[]> => {
    const requests = inputs.map((input) => ({ input_data: input }));
    const reply = await post(`${server.url}/batch_inference?model=${model}`, { requests });
    expect(reply.status).toBe(200);
    return (json(reply) as { results: Record<string, never>[] }).results;
  };

  test('keeps the order, and one bad item fails alone', async () => {
    const results = await batch('deep_tcm_diagnosis', [
      { symptoms: ['头痛'] },
      { symptom: ['头痛'] },
      { symptoms: ['口渴', '乏力', 'xyz'] },
      7,
    ]);
    expect(results[0]).toMatchObject({ result: { unknown_symptoms: [] }, model_version: 'v3.0.1' });
    expect(results[1]).toEqual({ error: { message: expect.stringContaining('symptom') } });
    expect(results[2]).toMatchObject({ result: { unknown_symptoms: ['xyz'] } });
    expect(results[3]).toMatchObject({ error: {} });
  });

  test('answers like single requests, also for rows of different lengths', async () => {
    const inputs = [
      { symptoms: ['头痛'] },
      { symptoms: ['口渴', '乏力', 'xyz'], patient_info: { age: 70 } },
      { symptoms: [] },
      { symptoms: ['食欲不振', '乏力'] },
    ];
    // More than once: the first joined runs are compared with single ones, later ones are not.
    for (let round = 0; round < 5; round += 1) {
      const results = await batch('deep_tcm_diagnosis', inputs);
      for (const [index, input] of inputs.entries()) {
        const single: Result = json(await infer('deep_tcm_diagnosis', input));
        const got = results[index] as unknown as Result;
        expect(got.confidence).toBeCloseTo(single.confidence, 5);
        const { probabilities: _, confidence: __, ...rest } = single.result;
        expect(got.result).toMatchObject(rest);
      }
    }
  });

  test('without items has no results', async () => {
    expect(await batch('batchable', [])).toEqual([]);
  });

  test.each([[{}], [{ requests: {} }], [[]], [7]])('is refused for %j', async (body) => {
    const reply = await post(`${server.url}/batch_inference?model=batchable`, body);
    const { error }: { error: { message: string } } = json(reply);
    expect([reply.status, error.message]).toEqual([400, expect.stringContaining('must be')]);
  });
});

/** Each `curl` of a page about this model with the JSON that the page shows for it. */
function shownCalls(page: string): readonly (readonly [unknown[], unknown[]])[] {
  const shown = snippetsOf(page).filter(({ language }) => /^(?:sh|json)$/.test(language));
  return shown.flatMap(({ text }, index) => {
    const next = shown[index + 1];
    const call = /deep_tcm_diagnosis[\s\S]*-d '(.*)'/.exec(text)?.[1];
    if (call === undefined || next?.language !== 'json') return [];
    const { input_data: one, requests, instances } = JSON.parse(call);
    const { output_data: output, results, predictions } = JSON.parse(next.text);
    const items = requests?.map((item: { input_data: unknown }) => item.input_data);
    const outputs = results?.map((item: { output_data: unknown }) => item.output_data);
    return [[instances ?? items ?? [one], predictions ?? outputs ?? [output]]];
  });
}

test('the responses on the documentation page are the model’s', async () => {
  const calls = ['README.md', 'docs/inference.md'].flatMap(shownCalls);
  expect(calls).toHaveLength(4);
  for (const [items, outputs] of calls) {
    expect(items).toHaveLength(outputs.length);
    for (const [index, item] of items.entries()) {
      const shown = outputs[index] as { confidence: number };
      const told = await result('deep_tcm_diagnosis', item);
      // The last digits of a float depend on how many items share a run.
      expect(told['confidence']).toBeCloseTo(shown.confidence, 5);
      expect(round(told)).toMatchObject(round(shown) as object);
    }
  }
});

/** Numbers to five digits. */
const round = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, one: unknown) =>
      typeof one === 'number' ? Number(one.toFixed(5)) : one,
    ),
  );
