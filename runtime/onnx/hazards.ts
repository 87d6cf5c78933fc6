import { badRequest } from './errors';
import { shapeText } from './tensor';
import type { Graph, GraphNode } from './graph';
import type { Tensor, Tensors } from './tensor';
import { entryOf } from '../../lib/spec/entry';

// Inputs that end the process inside of ONNX Runtime, where no caller gets an answer. What can be
// known of them beforehand is refused.

/** Operators that were run with no rows: they give no rows, or say no. */
const ACCEPTS_EMPTY = new Set(
  (
    'Abs Acos Acosh Add ArgMax Asin Asinh Atan Atanh Cast Ceil Celu Clip Concat Constant ' +
    'ConstantOfShape Cos Cosh CumSum Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike ' +
    'Flatten Floor Gather Gemm Greater GreaterOrEqual HardSigmoid HardSwish Hardmax ' +
    'Identity IsInf IsNaN LabelEncoder LeakyRelu Less LessOrEqual LinearClassifier ' +
    'LinearRegressor Log LogSoftmax LpNormalization MatMul Max Mean Min Mish Mul Neg ' +
    'NonZero Normalizer PRelu Pad Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ' +
    'ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare ' +
    'Relu Reshape Round Scaler ScatterElements Selu Shape Shrink Sigmoid Sign Sin Sinh Size ' +
    'Slice Softmax Softplus Softsign Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile ' +
    'Transpose Trilu Unsqueeze Where'
  ).split(' '),
);

const KNOWN_DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml']);

/** Refuses inputs that would crash the process. @throws ServeError 400 */
export type CheckHazards = (inputs: Tensors) => void;

/** The first node that is not known to bear a tensor without elements; undefined: all are. */
function firstUnknown({ nodes }: Pick<Graph, 'nodes'>): GraphNode | undefined {
  return nodes.find(
    ({ operator, domain }) => !KNOWN_DOMAINS.has(domain) || !ACCEPTS_EMPTY.has(operator),
  );
}

function refuseEmpty(inputs: Tensors, because: string): void {
  for (const [name, { dims }] of Object.entries(inputs)) {
    if (!dims.includes(0)) continue;
    throw badRequest(
      `input '${name}': shape ${shapeText(dims)} has no elements, and ${because} is not known to ` +
        'bear that; send at least one row',
    );
  }
}

function holds(tensor: Tensor | undefined, value: number | bigint): boolean {
  return (tensor?.data as readonly unknown[] | undefined)?.includes(value) === true;
}

/** Lengths of frames and steps of a transformation over time must not be zero. */
function refuseZero(inputs: Tensors, names: readonly string[]): void {
  for (const name of names) {
    const tensor = entryOf(inputs, name);
    if (!holds(tensor, 0) && !holds(tensor, 0n)) continue;
    throw badRequest(`input '${name}': it is 0; a frame and its step have at least one sample`);
  }
}

/** Analyses a graph once and returns the check for each request. */
export function hazardsOf(graph: Pick<Graph, 'nodes'> | undefined): CheckHazards {
  const unknown = graph && firstUnknown(graph);
  const nodes = graph?.nodes ?? [];
  const frames = nodes.filter(({ operator }) => operator === 'STFT');
  const because = unknown === undefined ? 'this model' : `${unknown.operator} in this model`;
  const bears = graph !== undefined && unknown === undefined;
  return (inputs) => {
    if (!bears) refuseEmpty(inputs, because);
    for (const {
      inputs: [, step = '', , length = ''],
    } of frames)
      refuseZero(inputs, [step, length]);
  };
}
