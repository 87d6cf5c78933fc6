import { readBinary } from '../../runtime/onnx/binary';
import { tryFindByOrt } from '../../runtime/onnx/element-type';
import { memoryOf, packTensors, SLICE, unpackTensors } from '../../runtime/onnx/large/packed';
import { inputSettingsFrom, perform, sentModel } from '../../runtime/onnx/large/codec-tasks';
import { ModelCodec } from '../../runtime/onnx/large/model-codec';
import { fixtures, json, post, startServer } from './support/server';
import type { ElementType, OrtType, TensorData } from '../../runtime/onnx/element-type';
import type { SentModel } from '../../runtime/onnx/large/codec-tasks';
import { CodecThread } from '../../runtime/onnx/large/codec-thread';
import type { Tensor } from '../../runtime/onnx/tensor';
import type { TestServer } from './support/server';

// Large bodies are read, and large answers written, in a thread of the ONNX server.

const typeOf = (name: OrtType): ElementType => tryFindByOrt(name) as ElementType;
const tensor = (type: OrtType, dims: readonly number[], data: TensorData): Tensor => ({
  datatype: typeOf(type),
  dims,
  data,
});

describe('tensors that pass from one thread to the other', () => {
  const items = Array.from({ length: 3000 }, (_, row) => ({
    x: tensor(
      'float32',
      [1, row % 3],
      Float32Array.from({ length: row % 3 }, (__, at) => row + at),
    ),
    id: tensor('int64', [], BigInt64Array.of(2n ** 62n + BigInt(row))),
    word: tensor('string', [2], ['', `\ufeff漢\ud83d\ude00${row}`]),
  }));

  test('are equal, in a few pieces of memory for any number of rows', async () => {
    const whole = await packTensors(items);
    expect(memoryOf(whole)).toHaveLength(9);
    expect(await unpackTensors(whole)).toEqual(items);
    expect(await unpackTensors(await packTensors([]))).toEqual([]);
  });

  test('have memory of their own for their rows', async () => {
    const [, second] = await unpackTensors(await packTensors(items));
    const data = second?.['x']?.data as Float32Array | undefined;
    expect(data?.buffer.byteLength).toBe(data?.byteLength);
    expect(data).toHaveLength(1);
  });

  test('leave the event loop free after each slice', async () => {
    let turns = 0;
    const turn = (): Promise<void> => {
      turns += 1;
      return Promise.resolve();
    };
    const data = new Float32Array(10 * SLICE);
    const one = { x: tensor('float32', [10 * SLICE], data) };
    const whole = await packTensors([one], 'data', turn);
    expect(turns).toBe(10);
    turns = 0;
    const rows = Array.from({ length: SLICE }, () => ({ x: tensor('bool', [], Uint8Array.of(1)) }));
    await unpackTensors(await packTensors(rows), turn);
    expect(turns).toBeGreaterThan(15);
    const { datatype, dims, data: back } = (await unpackTensors(whole))[0]?.['x'] ?? {};
    expect([datatype, dims]).toEqual([one.x.datatype, one.x.dims]);
    // jest compares a million elements one by one.
    expect(Buffer.from((back as Float32Array).buffer).equals(Buffer.from(data.buffer))).toBe(true);
  });
});

const SENT: SentModel = {
  name: 'm',
  version: '1',
  inputs: [{ name: 'x', type: 'float32', shape: [-1] }],
  outputs: [{ name: 'y', type: 'float32', shape: [-1] }],
  metadata: new Map(),
  classes: new Map(),
  integerMode: 'doubles',
};

/** Words whose thread is this one, and what was done in it. */
function wordsAndTasks(type: OrtType = 'float32'): { words: ModelCodec; tasks: string[] } {
  const settings = inputSettingsFrom({ ...SENT, inputs: [{ name: 'x', type, shape: [-1] }] });
  const tasks: string[] = [];
  const run = async (task: Parameters<typeof perform>[1]): Promise<unknown> => {
    tasks.push(`${task.op} ${task.format}`);
    const models = new Map([['m', inputSettingsFrom(sentModel(settings.model))]]);
    const { outcome } = await perform(models, task);
    if ('done' in outcome) return outcome.done;
    throw new Error(JSON.stringify(outcome));
  };
  return { words: new ModelCodec(settings, { run } as unknown as CodecThread), tasks };
}

const bodyOf = (count: number): Buffer =>
  Buffer.from(
    `{"id":"a","inputs":[{"name":"x","datatype":"FP32","shape":[${count}],` +
      `"data":[NaN${',-0.5'.repeat(count - 1)}]}]}`,
  );

test('small bodies are parsed at once, large ones in the thread, with equal results', async () => {
  const { words, tasks } = wordsAndTasks();
  const small = await words.readInfer(bodyOf(3), undefined);
  await words.writeInfer(small, { y: small.inputs['x'] as Tensor });
  expect(tasks).toEqual([]);
  const count = 60_000;
  const { id, inputs, outputs } = await words.readInfer(bodyOf(count), undefined);
  expect([id, outputs]).toEqual(['a', [{ name: 'y', binary: false }]]);
  const data = inputs['x']?.data as Float32Array;
  expect([data.length, data[0], data[1], data[count - 1]]).toEqual([count, NaN, -0.5, -0.5]);
  const { body } = await words.writeInfer({ id, inputs, outputs }, { y: inputs['x'] as Tensor });
  expect(tasks).toEqual(['read v2', 'write v2']);
  expect(body.toString()).toBe(
    `{"model_name":"m","model_version":"1","id":"a","outputs":[{"name":"y","datatype":"FP32",` +
      `"shape":[${count}],"data":[NaN${',-0.5'.repeat(count - 1)}]}]}`,
  );
});

test('numbers as bytes are not parsed: they stay here, whatever their size', async () => {
  const { words, tasks } = wordsAndTasks();
  const count = 200_000;
  const head = Buffer.from(
    `{"inputs":[{"name":"x","datatype":"FP32","shape":[${count}],` +
      `"parameters":{"binary_data_size":${count * 4}}}],"parameters":{"binary_data_output":true}}`,
  );
  const body = Buffer.concat([head, Buffer.alloc(count * 4)]);
  const wanted = await words.readInfer(body, String(head.length));
  const concat = jest.spyOn(Buffer, 'concat');
  const answer = await words.writeInfer(wanted, { y: wanted.inputs['x'] as Tensor });
  expect([answer.kind, tasks]).toEqual(['binary', []]);
  // Which would copy all of them in one step.
  expect(concat).not.toHaveBeenCalled();
  concat.mockRestore();
});

test('strings as bytes are parsed in the thread when they are many', async () => {
  const { words, tasks } = wordsAndTasks('string');
  const ask = async (count: number): Promise<unknown> => {
    const head = Buffer.from(
      `{"inputs":[{"name":"x","datatype":"BYTES","shape":[${count}],` +
        `"parameters":{"binary_data_size":${count * 4}}}]}`,
    );
    const body = Buffer.concat([head, Buffer.alloc(count * 4)]);
    return (await words.readInfer(body, String(head.length))).inputs['x']?.data.length;
  };
  expect([await ask(9_000), tasks]).toEqual([9_000, []]);
  expect([await ask(10_001), tasks]).toEqual([10_001, ['read v2']]);
});

test('bits as bytes are checked in a loop, and wrong ones named', () => {
  const find = jest.spyOn(Uint8Array.prototype, 'findIndex');
  const bits = typeOf('bool');
  const bytes = Buffer.from([1, 0, 1]);
  expect(readBinary(bytes, bits, [3], 'x')).toEqual(Uint8Array.of(1, 0, 1));
  const wrong = Buffer.from([1, 0, 7]);
  expect(() => readBinary(wrong, bits, [3], 'x')).toThrow("input 'x': element 2 is 7; BOOL takes");
  expect(find).not.toHaveBeenCalled();
  find.mockRestore();
});

test('at most 256 tasks wait for the thread; closing the server refuses them all', async () => {
  const thread = new CodecThread([]);
  const body = new Uint8Array(0);
  const task = { op: 'read', format: 'v2', model: 'm', body, length: undefined } as const;
  const refusals = Array.from({ length: 258 }, () =>
    thread.run(task, []).then(
      () => 'done',
      (error: Error) => error.message,
    ),
  );
  expect(await refusals[257]).toBe('256 large bodies and answers wait; try again');
  thread.close();
  expect(new Set(await Promise.all(refusals.slice(0, 257)))).toEqual(new Set(['the server ends']));
});

describe('the server', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer({
      models: fixtures('identity_fp32', 'identity_int64', 'identity_string', 'batchable'),
    });
  });

  afterAll(async () => {
    await server.stop();
  });

  const blanks = ' '.repeat(300_000);
  const inferOf = (datatype: string, data: string): string =>
    `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[1,2],"data":${data}}]}`;
  const row = '{"input_data":[1,2,3,4]}';

  test.each([
    [200, '/v2/models/identity_fp32/infer', inferOf('FP32', '[NaN,-0.0]')],
    [400, '/v2/models/identity_fp32/infer', inferOf('FP32', '[1,"a"]')],
    [400, '/v2/models/identity_fp32/infer', '{"inputs":[{"name":"z"}]}'],
    [400, '/v2/models/identity_fp32/infer', '{"inputs":['],
    [200, '/v2/models/identity_int64/infer', inferOf('INT64', '[9223372036854775807,-1]')],
    [200, '/v2/models/identity_string/infer', inferOf('BYTES', '["","漢"]')],
    [200, '/v1/models/batchable:predict', '{"instances":[[1,2,3,4],[5,6,7,8]]}'],
    [400, '/v1/models/batchable:predict', '{"instances":[[1,2,3,4],[5]]}'],
    [200, '/v1/models/batchable:predict', '{"inputs":[[1,2,3,4],[5,6,7,8]]}'],
    [200, '/v1/models/batchable:predict', '{"instances":[]}'],
    [200, '/batch_inference?model=batchable', `{"requests":[${row},{"input_data":"a"},${row}]}`],
  ])('%i: %s answers %s in the same way when it is large', async (status, path, body) => {
    const small = await post(`${server.url}${path}`, body);
    const large = await post(`${server.url}${path}`, `${blanks}${body}`);
    expect(small.status).toBe(status);
    const position = / ?\(?(?:at position \d+|line \d+ column \d+|char \d+)\)?/g;
    const plain = (text: string): string => text.replace(position, '');
    expect([large.status, plain(large.text)]).toEqual([small.status, plain(small.text)]);
  });

  test('answers a native call in the same way when it is large', async () => {
    const ask = async (blank: string): Promise<unknown> => {
      const url = `${server.url}/inference?model=batchable`;
      const { resource_usage: _, ...answer } = json(await post(url, `${blank}${row}`)) as {
        resource_usage: unknown;
        result: unknown;
      };
      return answer;
    };
    expect(await ask(blanks)).toEqual(await ask(''));
  });

  test('answers thousands of rows in order, with errors in their places', async () => {
    const requests = Array.from({ length: 12_000 }, (_, at) => ({
      input_data: at % 1000 === 7 ? 'wrong' : [at, 1, 1, 1],
    }));
    const reply = await post(`${server.url}/batch_inference?model=batchable`, { requests });
    const { results } = json(reply) as { results: { error?: object; result?: object }[] };
    expect(results).toHaveLength(requests.length);
    const wrong = results.flatMap(({ error }, at) => (error ? [at] : []));
    expect(wrong).toEqual(Array.from({ length: 12 }, (_, at) => at * 1000 + 7));
    const alone = await post(`${server.url}/inference?model=batchable`, {
      input_data: [11_000, 1, 1, 1],
    });
    expect(results[11_000]?.result).toEqual((json(alone) as { result: object }).result);
  });

  test('returns many strings unchanged, in JSON and as bytes', async () => {
    const words = Array.from({ length: 20_000 }, (_, at) => `漢${at}`);
    const inputs = [{ name: 'x', datatype: 'BYTES', shape: [2, 10_000], data: words }];
    const url = `${server.url}/v2/models/identity_string/infer`;
    const reply = await post(url, { inputs });
    expect(json(reply)).toMatchObject({ outputs: [{ shape: [2, 10_000], data: words }] });
    const bytes = await post(url, { inputs, parameters: { binary_data_output: true } });
    const head = Number(bytes.headers.get('inference-header-content-length'));
    const size = words.reduce((sum, word) => sum + 4 + Buffer.byteLength(word), 0);
    expect(JSON.parse(bytes.text.slice(0, head))).toMatchObject({
      outputs: [{ parameters: { binary_data_size: size } }],
    });
    expect(Number(bytes.headers.get('content-length'))).toBe(head + size);
  });

  test('refuses a body beyond the limits, and serves the next one', async () => {
    const url = `${server.url}/v2/models/identity_fp32/infer`;
    const deep = await post(url, `${'['.repeat(300_000)}`);
    expect([deep.status, deep.text]).toEqual([400, expect.stringContaining('nested too deeply')]);
    const next = await post(url, `${blanks}${inferOf('FP32', '[1,2]')}`);
    expect(next.status).toBe(200);
  });
});
