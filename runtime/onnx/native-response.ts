import { numberText } from '../shared/number-text';
import { fromHalf } from '../shared/float16';
import { ServeError } from './errors';
import { outputText } from './output';
import type { ModelFacts } from './model-facts';
import type { Port, Tensor, Tensors } from './tensor';
import { entryOf } from '../../lib/spec/entry';

// Answers of the native protocol: `result` by output name, `confidence` of the call or of each row.

/** Inputs and outputs of a finished inference. */
export interface NativeResult {
  readonly inputs: Tensors;
  readonly outputs: Tensors;
}

const numberAt = ({ datatype, data }: Tensor, index: number): number =>
  datatype.elements.kind === 'half' ? fromHalf(Number(data[index])) : Number(data[index]);

const isFloat = (tensor: Tensor | undefined): tensor is Tensor =>
  tensor?.datatype.elements.kind === 'float' || tensor?.datatype.elements.kind === 'half';

/** Does the graph leave the first dimension open? Exporters state wrong sizes, which leave it open. */
const isOpen = ({ shape }: Port, { dims }: Tensor): boolean =>
  dims.length > 0 && dims[0] !== shape?.[0];

/** Is the first dimension the batch, and not the length of a vector? */
const isBatched = (port: Port, tensor: Tensor): boolean =>
  tensor.dims.length > 1 || isOpen(port, tensor);

/** Leading dimensions of the inputs that can be batches; open ones count before others. */
function inputRows(ports: readonly Port[], inputs: Tensors): readonly number[] {
  const all = ports.map((port) => [port, entryOf(inputs, port.name) as Tensor] as const);
  const open = all.filter(([port, tensor]) => isOpen(port, tensor));
  const batched = open.length > 0 ? open : all.filter(([, { dims }]) => dims.length > 1);
  return batched.map(([, { dims }]) => dims[0] ?? 1);
}

/** Rows of a call: the row count that all inputs and an output share, else 1. */
function rowCount(model: ModelFacts, { inputs, outputs }: NativeResult): number {
  const [rows = 1, ...others] = inputRows(model.inputs, inputs);
  if (rows === 1 || others.some((one) => one !== rows)) return 1;
  const isByRow = (port: Port): boolean => {
    const tensor = entryOf(outputs, port.name);
    return tensor?.dims[0] === rows && isBatched(port, tensor);
  };
  return model.outputs.some(isByRow) ? rows : 1;
}

/** The largest of elements, from (included) to (not included); null when it is not finite. */
function largest(tensor: Tensor, from: number, to: number): number | null {
  let best = -Infinity;
  for (let i = from; i < to; i += 1) best = Math.max(best, numberAt(tensor, i));
  return Number.isFinite(best) ? best : null;
}

/** One number, or one for each row of a call that has several. */
export type RowConfidence = number | null | readonly (number | null)[];

/** The source of the confidence: `confidence`, else `probabilities`, else the output with classes. */
function scoresOf({ classes }: ModelFacts, outputs: Tensors, rows: number): string | undefined {
  const stated = outputs['confidence'];
  if (isFloat(stated) && stated.data.length === rows) return 'confidence';
  const [name] = classes.size === 1 ? classes.keys() : [];
  return outputs['probabilities'] === undefined ? name : 'probabilities';
}

function confidenceOf(model: ModelFacts, outputs: Tensors, rows: number): RowConfidence {
  const name = scoresOf(model, outputs, rows) ?? '';
  const tensor = entryOf(outputs, name);
  if (!isFloat(tensor)) return null;
  const { length } = tensor.data;
  if (rows === 1) return largest(tensor, 0, length);
  const port = model.outputByName.get(name);
  const isByRow = port !== undefined && isBatched(port, tensor) && tensor.dims[0] === rows;
  const size = isByRow ? length / rows : 0;
  return Array.from({ length: rows }, (_, row) => largest(tensor, row * size, (row + 1) * size));
}

const valueText = (value: number | null): string => (value === null ? 'null' : numberText(value));

const confidenceText = (value: RowConfidence): string =>
  typeof value === 'object' && value !== null
    ? `[${value.map(valueText).join(',')}]`
    : valueText(value);

/** `"result":…,"confidence":…,"model_version":…` */
function answerText(model: ModelFacts, answered: NativeResult): string {
  const { outputs } = answered;
  const rows = rowCount(model, answered);
  const results = model.outputs.map(({ name }) => {
    const tensor = entryOf(outputs, name);
    const text = tensor && outputText(name, tensor, model.classes, 'quoted', rows);
    return `${JSON.stringify(name)}:${text ?? 'null'}`;
  });
  const confidence = confidenceText(confidenceOf(model, outputs, rows));
  return `"result":{${results.join(',')}},"confidence":${confidence},"model_version":"${model.version}"`;
}

/** Resources used by one inference. */
export interface ResourceUsage {
  /** Milliseconds in all, waiting included. */
  readonly duration_ms: number;
  /** Requests that shared the run. */
  readonly batch_size: number;
  /** Resident memory of the server. */
  readonly memory_bytes: number;
}

export const inferenceText = (
  model: ModelFacts,
  answered: NativeResult,
  usage: ResourceUsage,
): string => `{${answerText(model, answered)},"resource_usage":${JSON.stringify(usage)}}`;

export function batchText(
  model: ModelFacts,
  answers: readonly (NativeResult | ServeError)[],
): string {
  const texts = answers.map((answer) =>
    answer instanceof ServeError
      ? JSON.stringify({ error: { message: answer.message } })
      : `{${answerText(model, answer)}}`,
  );
  return `{"results":[${texts.join(',')}]}`;
}
