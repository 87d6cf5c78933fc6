import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { withGuards } from '../../runtime/onnx/guards';
import { ints, onnxFile, weights } from './support/onnx-file';
import type { FileText } from './support/onnx-file';
import { fixtures, json, post, startServer } from './support/server';
import type { Reply, TestServer } from './support/server';

// Inputs by which ONNX Runtime ends its process (SIGFPE, SIGSEGV): each must be an answer, and the
// server must be there for the next request.

const topK = { op: 'TopK', out: ['y', 'i'] } as const;
const INDICES = { y: ['float', ['N', 'K']], i: ['int64', ['N', 'K']] } as const;
const LARGEST_OF_FIRST = {
  inputs: { x: ['float', ['N', 5]], end: ['int64', [1]] },
  constants: { from: ints(0), axis: ints(0), k: ints(2) },
} as const;
const slice = { op: 'Slice', in: ['x', 'from', 'end', 'axis'], out: ['s'] } as const;

const INTEGERS = ['int32', ['N']] as const;

const GRAPHS: Readonly<Record<string, FileText>> = {
  largest: {
    inputs: { x: ['float', ['N', 5]] },
    outputs: INDICES,
    constants: { k: ints(3) },
    nodes: [{ ...topK, in: ['x', 'k'] }],
  },
  largest_of_first: {
    ...LARGEST_OF_FIRST,
    outputs: INDICES,
    nodes: [slice, { ...topK, in: ['s', 'k'] }],
  },
  in_branch: {
    ...LARGEST_OF_FIRST,
    outputs: { y: ['float', ['N', 'K']] },
    constants: { ...LARGEST_OF_FIRST.constants, yes: { dims: [], type: 'bool', data: [1] } },
    nodes: [
      slice,
      {
        op: 'If',
        in: ['yes'],
        out: ['y'],
        at: {
          then_branch: {
            graph: {
              outputs: { a: ['float', ['N', 'K']] },
              nodes: [{ op: 'TopK', in: ['s', 'k'], out: ['a', 'j'] }],
            },
          },
          else_branch: {
            graph: {
              outputs: { b: ['float', ['N', 'K']] },
              nodes: [{ op: 'Identity', in: ['s'], out: ['b'] }],
            },
          },
        },
      },
    ],
  },
  in_function: {
    ...LARGEST_OF_FIRST,
    outputs: { y: ['float', ['N', 'K']] },
    nodes: [slice, { op: 'best', domain: 'local', in: ['s', 'k'], out: ['y'] }],
    functions: [
      {
        name: 'best',
        domain: 'local',
        in: ['a', 'n'],
        out: ['b'],
        nodes: [{ op: 'TopK', in: ['a', 'n'], out: ['b', 'j'] }],
      },
    ],
  },
  quotient: {
    inputs: { a: ['int32', ['N']], b: ['int32', ['N']] },
    outputs: { y: ['int32', ['N']] },
    nodes: [{ op: 'Div', in: ['a', 'b'], out: ['y'] }],
  },
  // (−x − 1) / (x − x − 1), in types that follow from what is done before.
  computed: {
    inputs: { x: ['int64', ['N']] },
    outputs: { y: ['int64', ['N']] },
    constants: { one: ints(1) },
    nodes: [
      { op: 'Neg', in: ['x'], out: ['negative'] },
      { op: 'Sub', in: ['negative', 'one'], out: ['a'] },
      { op: 'Shape', in: ['x'], out: ['shape'] },
      { op: 'Sub', in: ['shape', 'shape'], out: ['zero'] },
      { op: 'Sub', in: ['zero', 'one'], out: ['b'] },
      { op: 'Div', in: ['a', 'b'], out: ['y'] },
    ],
  },
  in_loop: {
    inputs: { x: ['int64', ['N']] },
    outputs: { y: ['int64', ['N']] },
    constants: { one: ints(1), times: { dims: [], data: [1] } },
    nodes: [
      { op: 'Neg', in: ['x'], out: ['negative'] },
      { op: 'Sub', in: ['negative', 'one'], out: ['a'] },
      {
        op: 'Loop',
        in: ['times', '', 'a'],
        out: ['y'],
        at: {
          body: {
            graph: {
              inputs: { i: ['int64', []], go: ['bool', []], carried: ['int64', ['N']] },
              outputs: { going: ['bool', []], next: ['int64', ['N']] },
              nodes: [
                { op: 'Identity', in: ['go'], out: ['going'] },
                { op: 'Sub', in: ['i', 'one'], out: ['b'] },
                { op: 'Div', in: ['carried', 'b'], out: ['next'] },
              ],
            },
          },
        },
      },
    ],
  },
  remainder: {
    inputs: { a: ['int64', ['N']], b: ['int64', ['N']] },
    outputs: { y: ['int64', ['N']] },
    nodes: [{ op: 'Mod', in: ['a', 'b'], out: ['y'] }],
  },
  // Names of methods, inside of the graph and at its doors.
  methods: {
    inputs: Object.fromEntries([
      ['__proto__', INTEGERS],
      ['toString', INTEGERS],
    ]),
    outputs: { constructor: INTEGERS },
    nodes: [
      { op: 'Identity', in: ['__proto__'], out: ['valueOf'] },
      { op: 'Identity', in: ['toString'], out: ['hasOwnProperty'] },
      { op: 'Div', in: ['valueOf', 'hasOwnProperty'], out: ['constructor'] },
    ],
  },
  recurrent: {
    inputs: { x: ['float', [2, 'N', 3]], lengths: ['int32', ['N']] },
    outputs: { y: ['float', [2, 1, 'N', 2]] },
    constants: { w: weights(1, 6, 3), r: weights(1, 6, 2) },
    nodes: [
      {
        op: 'GRU',
        in: ['x', 'w', 'r', '', 'lengths'],
        out: ['y'],
        at: { hidden_size: 2 },
      },
    ],
  },
};

let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'hazards-'));
  const models = Object.entries(GRAPHS).map(([name, text]) => {
    const file = path.join(folder, `${name}.onnx`);
    writeFileSync(file, onnxFile(text));
    return { name, version: '1', path: file };
  });
  server = await startServer({ models: [...models, ...fixtures('identity_fp32')] });
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

interface Input {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

const input = (
  name: string,
  datatype: string,
  shape: readonly number[],
  data: Input['data'],
): Input => ({ name, datatype, shape, data });

const infer = (model: string, ...inputs: readonly Input[]): Promise<Reply> =>
  post(
    `${server.url}/v2/models/${model}/infer`,
    JSON.stringify({ inputs }).replaceAll(/"(-?\d+)"/g, '$1'),
  );

const TEN = input('x', 'FP32', [2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
const shapeOf = (reply: Reply): unknown =>
  (json(reply) as { outputs?: { shape: unknown }[] }).outputs?.[0]?.shape ?? reply.text;

test('empty inputs are refused where the graph is not known to support them', async () => {
  const reply = await infer('largest', input('x', 'FP32', [0, 5], []));
  expect([reply.status, json(reply)]).toEqual([
    400,
    {
      error:
        "input 'x': shape [0,5] has no elements, and TopK in this model is not known to bear that; " +
        'send at least one row',
    },
  ]);
  const lengths = input('lengths', 'INT32', [0], []);
  const recurrent = await infer('recurrent', input('x', 'FP32', [2, 0, 3], []), lengths);
  expect(recurrent.status).toBe(400);
});

test('empty inputs have empty outputs where the graph supports them', async () => {
  const reply = await infer('identity_fp32', input('x', 'FP32', [0, 5], []));
  expect([reply.status, shapeOf(reply)]).toEqual([200, [0, 5]]);
});

test.each(['largest_of_first', 'in_branch', 'in_function'])(
  'TopK with a K of more than the rest of a request is safe: %s',
  async (model) => {
    expect(shapeOf(await infer(model, TEN, input('end', 'INT64', [1], [0])))).toEqual([0, 2]);
    const some = await infer(model, TEN, input('end', 'INT64', [1], [1]));
    expect(json(some)).toMatchObject({
      outputs: [{ shape: [1, 2], data: [5, 4] }, ...others(model)],
    });
  },
);

const others = (model: string): readonly unknown[] =>
  model === 'largest_of_first' ? [{ shape: [1, 2], data: [4, 3] }] : [];

test.each([
  ['quotient', 'INT32', '-2147483648', ['3', '-3', '-3', '3', '-6', '-2147483648']],
  ['remainder', 'INT64', '-9223372036854775808', ['1', '1', '-1', '-1', '0', '0']],
])(
  'division of integers by −1 is safe, of the lowest too: %s',
  async (model, datatype, lowest, wanted) => {
    const ask = (a: Input['data'], b: Input['data']): Promise<Reply> =>
      infer(model, input('a', datatype, [a.length], a), input('b', datatype, [b.length], b));
    const reply = await ask([7, -7, 7, -7, 6, lowest], [2, 2, -2, -2, -1, -1]);
    expect([reply.status, reply.text]).toEqual([
      200,
      expect.stringContaining(`"data":[${wanted.join(',')}]`),
    ]);
    expect(await ask([lowest], [2])).toMatchObject({ status: 200 });
    expect(await ask([4], [0])).toMatchObject({
      status: 400,
      text: expect.stringContaining('could not compute'),
    });
  },
);

test.each(['computed', 'in_loop'])(
  'division by −1 of the lowest integer, computed by the graph, is safe: %s',
  async (model) => {
    const reply = await infer(model, input('x', 'INT64', [2], ['9223372036854775807', 5]));
    expect([reply.status, reply.text]).toEqual([
      200,
      expect.stringContaining('"data":[-9223372036854775808,6]'),
    ]);
  },
);

describe('a patched file', () => {
  const divided = (b: FileText['constants'], type: 'int32' | 'float' = 'int32'): FileText => ({
    inputs: { a: [type, ['N']] },
    outputs: { y: [type, ['N']] },
    constants: b ?? {},
    nodes: [{ op: 'Div', in: ['a', 'b'], out: ['y'] }],
  });
  const one = (value: number): FileText['constants'] => ({
    b: { dims: [1], type: 'int32', data: [value] },
  });
  const isGuarded = (text: FileText, opset = 18): boolean =>
    withGuards(onnxFile({ ...text, opset }), opset) !== undefined;

  test('has guards where integers may be divided by −1, and nowhere else', () => {
    expect(isGuarded(divided(one(2)))).toBe(false);
    expect(isGuarded(divided(one(-1)))).toBe(true);
    expect(isGuarded(divided({ b: weights(1) }, 'float'))).toBe(false);
    expect(isGuarded(GRAPHS['quotient'] as FileText, 7)).toBe(true);
  });

  test('has guards where TopK takes K as an input', () => {
    expect(isGuarded(GRAPHS['largest'] as FileText, 10)).toBe(true);
    expect(isGuarded(GRAPHS['largest'] as FileText, 9)).toBe(false);
  });
});

test.each([
  ['/v2/models/methods/infer', ofMethods(), { outputs: [{ name: 'constructor', data: [3, 4] }] }],
  [
    '/v1/models/methods:predict',
    '{"instances":[{"__proto__":6,"toString":2},{"__proto__":8,"toString":2}]}',
    { predictions: [3, 4] },
  ],
  [
    '/inference?model=methods',
    '{"input_data":{"__proto__":[6,8],"toString":[2,2]}}',
    { result: { constructor: [3, 4] } },
  ],
])('values of a graph may have names of inherited methods: %s', async (target, body, answer) => {
  const reply = await post(`${server.url}${target}`, body);
  expect([reply.status, json(reply)]).toEqual([200, expect.objectContaining({})]);
  expect(json(reply)).toMatchObject(answer);
});

function ofMethods(): string {
  const inputs = [
    input('__proto__', 'INT32', [2], [6, 8]),
    input('toString', 'INT32', [2], [2, 2]),
  ];
  return JSON.stringify({ inputs });
}
