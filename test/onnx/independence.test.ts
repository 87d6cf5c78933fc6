import { readGraph } from '../../runtime/onnx/graph';
import { independenceOf } from '../../runtime/onnx/independence';
import { ints, onnxFile, weights } from './support/onnx-file';
import type { FileText, GraphText, NodeText, TypeName } from './support/onnx-file';

// What a graph shows about its rows. `x` is [N, 4] and `y` what the nodes make of it; by each graph
// that is shown stands one that differs little and mixes rows.

type Dims = readonly (number | string)[];

interface Words {
  readonly x?: Dims;
  readonly type?: TypeName;
  readonly y?: Dims;
  readonly constants?: FileText['constants'];
  readonly functions?: FileText['functions'];
  readonly opset?: number;
}

function judged(nodes: readonly NodeText[], words: Words = {}) {
  const { x = ['N', 4], y = ['N', 4], type = 'float', constants, functions = [], opset } = words;
  const bytes = onnxFile({
    inputs: { x: [type, x], z: [type, x] },
    outputs: { y: [type, y] },
    constants: { w: weights(4, 4), zero: ints(0), one: ints(1), minus: ints(-1), ...constants },
    nodes,
    functions,
    ...(opset !== undefined && { opset }),
  });
  return independenceOf(bytes, readGraph(bytes));
}

const to = (
  op: string,
  inputs: string,
  at: NodeText['at'] = {},
  out = 'y',
  domain = '',
): NodeText => ({ op, in: inputs.split(' '), out: out.split(' '), at, domain });
const ml = (op: string, inputs: string, at: NodeText['at'] = {}, out = 'y'): NodeText =>
  to(op, inputs, at, out, 'ai.onnx.ml');

type Case = readonly [name: string, nodes: readonly NodeText[], words?: Words];

const SHAPE_OF = [to('Shape', 'x', {}, 's'), to('Gather', 's zero', {}, 'n')];
const branch = (op: NodeText): GraphText => ({
  outputs: { [op.out[0] ?? '']: ['float', ['N', 4]] },
  nodes: [op],
});

const SHOWN: readonly Case[] = [
  ['elements', [to('Relu', 'x')]],
  ['another input of the same rows', [to('Add', 'x z')]],
  ['one row of constants for all', [to('Add', 'x b')], { constants: { b: weights(1, 4) } }],
  ['a matrix of weights', [to('MatMul', 'x w')]],
  ['a layer', [to('Gemm', 'x w b', { transB: 1 })], { constants: { b: weights(4) } }],
  ['a sum over columns', [to('ReduceSum', 'x one', { keepdims: 1 })]],
  ['scores along the columns', [to('Softmax', 'x', { axis: -1 })]],
  [
    'scores from the columns on, in an old operator set',
    [to('Softmax', 'x', { axis: 1 })],
    { opset: 11 },
  ],
  [
    'a turn there and back',
    [to('Transpose', 'x', {}, 't'), to('Relu', 't', {}, 'u'), to('Transpose', 'u')],
  ],
  ['one shape for each row', [to('Reshape', 'x s')], { constants: { s: ints(-1, 2, 2) } }],
  ['a shape that copies the rows', [to('Reshape', 'x s')], { constants: { s: ints(0, -1) } }],
  [
    'a shape with the number of rows in it',
    [...SHAPE_OF, to('Concat', 'n minus', { axis: 0 }, 't'), to('Reshape', 'x t')],
  ],
  ['columns behind columns', [to('Concat', 'x z', { axis: 1 })]],
  ['a slice of the columns', [to('Slice', 'x zero one one')]],
  [
    'the whole of the rows',
    [to('Slice', 'x zero end zero')],
    { constants: { end: ints(2 ** 31) } },
  ],
  ['entries of a table', [to('Gather', 'w x')], { type: 'int64', x: ['N'] }],
  ['the best column', [to('ArgMax', 'x', { axis: 1, keepdims: 0 })]],
  ['its two best columns', [to('TopK', 'x two', {}, 'y i')], { constants: { two: ints(2) } }],
  [
    'pictures under a window',
    [
      to('Conv', 'x f', {}, 'c'),
      to('MaxPool', 'c', { kernel_shape: [2, 2] }, 'p'),
      to('Flatten', 'p'),
    ],
    { x: ['N', 3, 8, 8], constants: { f: weights(2, 3, 3, 3) } },
  ],
  [
    'zeros of as many rows',
    [...SHAPE_OF, to('ConstantOfShape', 's', {}, 'zeros'), to('Add', 'x zeros')],
  ],
  [
    'a batch in the middle, as recurrent networks have it',
    [
      to('Transpose', 'x', { perm: [1, 0, 2] }, 't'),
      to('GRU', 't f f', {}, 'o h'),
      to('Squeeze', 'h zero'),
    ],
    { x: ['N', 5, 3], constants: { f: weights(1, 6, 3) } },
  ],
  [
    'an equation that keeps the letter of the rows',
    [to('Einsum', 'x w', { equation: 'bi,ij->bj' })],
  ],
  [
    'a branch that no row decides',
    [
      to('If', 'flag', {
        then_branch: { graph: branch(to('Relu', 'x', {}, 'a')) },
        else_branch: { graph: branch(to('Abs', 'x', {}, 'b')) },
      }),
    ],
    { constants: { flag: { dims: [], type: 'bool', data: [1] } } },
  ],
  [
    'a function of the file',
    [to('twice', 'x', {}, 'y', 'local')],
    {
      functions: [
        {
          name: 'twice',
          domain: 'local',
          in: ['a'],
          out: ['c'],
          nodes: [to('Add', 'a a', {}, 'c')],
        },
      ],
    },
  ],
  ['a forest', [ml('TreeEnsembleClassifier', 'x', { classlabels_int64s: [0, 1, 2] }, 'y p')]],
  [
    'labels by their places',
    [
      to('ArgMax', 'x', { axis: 1 }, 'best'),
      ml('ArrayFeatureExtractor', 'c best', {}, 'l'),
      to('Reshape', 'l minus'),
    ],
    { constants: { c: ints(10, 20, 30, 40) } },
  ],
  ['chosen columns', [ml('ArrayFeatureExtractor', 'x one')]],
  ['rows of length one', [ml('Normalizer', 'x', { norm: 'L2' })]],
];

const MIXED: readonly Case[] = [
  ['the mean of all rows', [to('ReduceMean', 'x', {}, 'm'), to('Sub', 'x m')]],
  ['the mean over the rows', [to('ReduceMean', 'x zero', {}, 'm'), to('Sub', 'x m')]],
  [
    'one constant for each of so many rows',
    [to('Add', 'x b')],
    { constants: { b: weights(3, 4) } },
  ],
  ['rows turned against rows', [to('Transpose', 'x', {}, 't'), to('MatMul', 'x t')]],
  ['a sum over the rows', [to('Transpose', 'x', {}, 't'), to('MatMul', 't x')]],
  ['scores along the rows', [to('Softmax', 'x', { axis: 0 })]],
  [
    'scores over everything, in an old operator set',
    [to('Softmax', 'x', { axis: 0 })],
    { opset: 11 },
  ],
  ['rows sorted', [to('TopK', 'x k', { axis: 0 }, 'y i')], { constants: { k: ints(1) } }],
  [
    'a scale that is learnt from all rows',
    [to('DynamicQuantizeLinear', 'x', {}, 'q s p'), to('DequantizeLinear', 'q s p')],
  ],
  ['rows put into columns', [to('Reshape', 'x s')], { constants: { s: ints(-1, 8) } }],
  [
    'rows and columns exchanged in place',
    [to('Reshape', 'x s')],
    { constants: { s: ints(4, -1) } },
  ],
  [
    'a shape whose rest is not known',
    [to('Reshape', 'x s')],
    { x: ['N', 'M'], constants: { s: ints(-1, 4) } },
  ],
  ['the first row', [to('Slice', 'x zero one zero')]],
  ['the rows backwards', [to('Gather', 'x i')], { constants: { i: ints(1, 0) } }],
  ['the rows themselves as places among them', [to('Gather', 'x z')], { type: 'int64', x: ['N'] }],
  ['rows behind rows', [to('Concat', 'x z', { axis: 0 })]],
  [
    'the number of rows as a value',
    [
      to('Shape', 'x', {}, 's'),
      to('Cast', 's', { to: 1 }, 'f'),
      to('ReduceSum', 'f', { keepdims: 0 }, 'n'),
      to('Mul', 'x n'),
    ],
  ],
  [
    'the number of rows in other words',
    [
      to('Shape', 'x', {}, 's'),
      to('Neg', 's', {}, 'n'),
      to('Cast', 'n', { to: 1 }, 'f'),
      to('Gather', 'f zero', {}, 'g'),
      to('Mul', 'x g'),
    ],
  ],
  [
    'how many values there are',
    [to('Size', 'x', {}, 'n'), to('Cast', 'n', { to: 1 }, 'f'), to('Div', 'x f')],
  ],
  ['a sum from row to row', [to('CumSum', 'x zero')]],
  [
    'dropped by chance',
    [to('Dropout', 'x r t')],
    { constants: { r: weights(1), t: { dims: [], type: 'bool', data: [1] } } },
  ],
  ['chance', [to('RandomUniformLike', 'x', {}, 'r'), to('Add', 'x r')]],
  [
    'chance in what is a constant',
    [to('RandomUniform', 'x', { shape: [1, 4] }, 'r'), to('Add', 'x r')],
  ],
  [
    'the mean and variance of training',
    [to('BatchNormalization', 'x b b b b', { training_mode: 1 }, 'y m v')],
    { constants: { b: weights(4) } },
  ],
  ['rows that are not zero', [to('NonZero', 'x', {}, 'n'), to('Transpose', 'n')]],
  [
    'places that count over all rows',
    [to('MaxPool', 'x', { kernel_shape: [2] }, 'p y')],
    { x: ['N', 3, 8] },
  ],
  ['an axis of one that may be the rows', [to('Squeeze', 'x')], { x: ['N', 1] }],
  ['an equation that sums over the rows', [to('Einsum', 'x z', { equation: 'bi,bj->ij' })]],
  [
    'a recurrent network along the rows',
    [to('GRU', 'x f f', {}, 'y h')],
    { x: ['N', 1, 3], constants: { f: weights(1, 6, 3) } },
  ],
  [
    'a branch that the rows decide',
    [
      to('ReduceMax', 'x', { keepdims: 0 }, 'm'),
      to('Cast', 'm', { to: 9 }, 'c'),
      to('If', 'c', {
        then_branch: { graph: branch(to('Relu', 'x', {}, 'a')) },
        else_branch: { graph: branch(to('Abs', 'x', {}, 'b')) },
      }),
    ],
  ],
  [
    'a function that mixes them',
    [to('centred', 'x', {}, 'y', 'local')],
    {
      functions: [
        {
          name: 'centred',
          domain: 'local',
          in: ['a'],
          out: ['c'],
          nodes: [to('ReduceMean', 'a', {}, 'm'), to('Sub', 'a m', {}, 'c')],
        },
      ],
    },
  ],
  ['an unknown operator', [to('Mystery', 'x', {}, 'y', 'org.example')]],
  ['a list that an operator takes for one row', [ml('Normalizer', 'x')], { x: ['N'] }],
  ['an answer that is the same for all', [to('Identity', 'w')]],
  ['columns in front', [to('Transpose', 'x')]],
];

/** With a third argument that is not given, jest hands in one of its own. */
const cases = (all: readonly Case[]) =>
  all.map(([name, nodes, words = {}]) => [name, nodes, words] as const);

test.each(cases(SHOWN))('a graph proves that its rows are independent: %s', (_, nodes, words) => {
  expect(judged(nodes, words)).toEqual({ isShown: true });
});

test.each(cases(MIXED))(
  'a graph does not prove that its rows are independent: %s',
  (_, nodes, words) => {
    expect(judged(nodes, words)).toEqual({ isShown: false, reason: expect.any(String) });
  },
);

const LOOP = (body: readonly NodeText[]): readonly NodeText[] => [
  to('Loop', 'three always x', {
    body: {
      graph: {
        inputs: { i: ['int64', []], on: ['bool', []], state: ['float', ['N', 4]] },
        outputs: { on_out: ['bool', []], next: ['float', ['N', 4]] },
        nodes: [to('Identity', 'on', {}, 'on_out'), ...body],
      },
    },
  }),
];
const LOOPED = {
  constants: {
    three: { dims: [], data: [3] },
    always: { dims: [], type: 'bool', data: [1] },
  },
} as const;

test('a loop is a proof if its turns keep rows apart, and none otherwise', () => {
  expect(judged(LOOP([to('Relu', 'state', {}, 'next')]), LOOPED)).toEqual({ isShown: true });
  const mixing = [to('ReduceMean', 'state', {}, 'm'), to('Sub', 'state m', {}, 'next')];
  expect(judged(LOOP(mixing), LOOPED)).toMatchObject({ isShown: false });
});

const scan = (body: readonly NodeText[], last = 'kept'): readonly NodeText[] => [
  to(
    'Scan',
    'w x',
    {
      num_scan_inputs: 1,
      body: {
        graph: {
          inputs: { state: ['float', [4, 4]], row: ['float', [4]] },
          outputs: { [last]: ['float', [4, 4]], out: ['float', [4]] },
          nodes: body,
        },
      },
    },
    'rest y',
  ),
];

test('a scan row by row is a proof while it passes nothing to the next row', () => {
  const distance = [
    to('Sub', 'state row', {}, 'd'),
    to('ReduceSumSquare', 'd one', { keepdims: 0 }, 'out'),
  ];
  const kept = to('Identity', 'state', {}, 'kept');
  expect(judged(scan([...distance, kept]))).toEqual({ isShown: true });
  expect(judged(scan([...distance, to('Sub', 'state row', {}, 'kept')]))).toMatchObject({
    isShown: false,
    reason: expect.stringContaining('hands something on from row to row'),
  });
  const around = [to('Sub', 'z row', {}, 'd'), ...distance.slice(1), kept];
  expect(judged(scan(around))).toMatchObject({ isShown: false });
});

test('the reason names the node', () => {
  expect(judged([to('ReduceMean', 'x', {}, 'm'), to('Sub', 'x m')])).toEqual({
    isShown: false,
    reason: "the node ReduceMean 'n0': it works along the rows",
  });
});

test('an input without a dynamic leading dimension proves nothing', () => {
  expect(judged([to('Relu', 'x')], { x: [2, 4], y: [2, 4] })).toMatchObject({ isShown: false });
});
