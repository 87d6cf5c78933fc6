import { readElements } from './elements';
import { fromHalf } from '../shared/float16';
import { badRequest, listed, ServeError, shown, UnservableModel } from './errors';
import { isObject, readJson } from './json';
import { outputText } from './output';
import { shaped, strayPaths, valueAt, withHint } from './shaping';
import type { Model } from './model';
import type { Port, Tensor, Tensors } from './tensor';

// The native protocol: `input_data` in the caller's own words, `result` by output name. A graph's
// metadata makes it comfortable: `default.<input>`, `padding.<input>`, `classes.<output>`.

/** What a model's metadata says of its inputs, read once. */
export interface Manners {
  readonly model: Model;
  readonly defaults: ReadonlyMap<string, Tensor>;
  /** One element that fills up the shorter rows of a batch. */
  readonly padding: ReadonlyMap<string, Tensor>;
}

function fromMetadata(
  model: Model,
  kind: 'default' | 'padding',
  read: (value: unknown, port: Port) => Tensor,
): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const port of model.inputs) {
    const key = `${kind}.${port.name}`;
    const text = model.metadata.get(key);
    if (text === undefined) continue;
    try {
      found.set(port.name, read(JSON.parse(text), port));
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new UnservableModel(
        `model '${model.name}': metadata ${key} is ${shown(text)}: ${words}`,
        {
          cause: error,
        },
      );
    }
  }
  return found;
}

/** Throws an Error when the metadata does not fit the graph. */
export function mannersOf(model: Model): Manners {
  return {
    model,
    defaults: fromMetadata(model, 'default', shaped),
    padding: fromMetadata(model, 'padding', (value, { datatype, name }) => ({
      datatype,
      dims: [],
      data: readElements(value, datatype, [], name),
    })),
  };
}

/** The tensors of one `input_data`. Throws ServeError 400 that names the input. */
export function inputsOf({ model, defaults }: Manners, input: unknown, what: string): Tensors {
  const known = model.inputs.map(({ name }) => name);
  const [only] = model.inputs;
  if (!isObject(input)) {
    if (only !== undefined && known.length === 1 && input !== undefined && input !== null) {
      return { [only.name]: shaped(input, only) };
    }
    throw badRequest(
      `${what} is ${input === undefined ? 'missing' : shown(input)}; ` +
        `it must be an object with ${listed(known)}`,
    );
  }
  const stray = strayPaths(input, known);
  if (stray.length > 0) {
    const names = listed(stray.map((path) => withHint(path, known)));
    throw badRequest(`${what}: the model has no input ${names}; it takes ${listed(known)}`);
  }
  const tensors: Record<string, Tensor> = {};
  for (const port of model.inputs) {
    const value = valueAt(input, port.name);
    const given = value === undefined || value === null ? undefined : shaped(value, port);
    const tensor = given ?? defaults.get(port.name);
    if (tensor === undefined) {
      throw badRequest(`${what}: '${port.name}' is missing; the model takes ${listed(known)}`);
    }
    tensors[port.name] = tensor;
  }
  return tensors;
}

function objectOf({ model }: Manners, body: Buffer): Record<string, unknown> {
  const value = readJson(body, model.numbers);
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  return value;
}

function callOf(manners: Manners, call: Record<string, unknown>): Tensors {
  const { parameters } = call;
  if (parameters !== undefined && parameters !== null && !isObject(parameters)) {
    throw badRequest(`parameters is ${shown(parameters)}; it must be an object`);
  }
  return inputsOf(manners, call['input_data'], 'input_data');
}

export const parseInference = (manners: Manners, body: Buffer): Tensors =>
  callOf(manners, objectOf(manners, body));

/** The items of a batch, in order: tensors, or what is wrong with the item. */
export function parseBatch(manners: Manners, body: Buffer): readonly (Tensors | ServeError)[] {
  const { requests } = objectOf(manners, body);
  if (!Array.isArray(requests)) {
    throw badRequest(
      `requests is ${requests === undefined ? 'missing' : shown(requests)}; ` +
        'it must be a list of {input_data}',
    );
  }
  return (requests as unknown[]).map((item) => {
    try {
      if (!isObject(item)) throw badRequest(`the item is ${shown(item)}; it must be an object`);
      return callOf(manners, item);
    } catch (error) {
      if (error instanceof ServeError) return error;
      throw error;
    }
  });
}

/** One row that is widened by repeating the padding. */
function widened(tensor: Tensor, width: number, padding: Tensor): Tensor {
  const { datatype } = tensor;
  const missing = width - (tensor.dims[1] ?? 0);
  if (missing <= 0) return tensor;
  const fill = padding.data[0];
  const elements: unknown[] = [...tensor.data];
  for (let i = 0; i < missing; i += 1) elements.push(fill);
  const data = datatype.make(elements.length) as unknown[];
  for (let i = 0; i < elements.length; i += 1) data[i] = elements[i];
  return { datatype, dims: [1, width], data: data as unknown as Tensor['data'] };
}

/** Rows of inputs that state a padding, widened to the widest, so that the items can share a run. */
export function padded({ padding }: Manners, items: readonly Tensors[]): readonly Tensors[] {
  const widths = new Map<string, number>();
  for (const name of padding.keys()) {
    const all = items.map((item) => item[name]?.dims ?? []);
    const isRow = all.every((dims) => dims.length === 2 && dims[0] === 1);
    if (isRow) widths.set(name, Math.max(0, ...all.map((dims) => dims[1] ?? 0)));
  }
  if (widths.size === 0) return items;
  return items.map((item) => {
    const wide: Record<string, Tensor> = { ...item };
    for (const [name, width] of widths) {
      wide[name] = widened(item[name] as Tensor, width, padding.get(name) as Tensor);
    }
    return wide;
  });
}

const numberAt = ({ datatype, data }: Tensor, index: number): number =>
  datatype.elements.kind === 'half' ? fromHalf(Number(data[index])) : Number(data[index]);

const isFloat = (tensor: Tensor | undefined): tensor is Tensor =>
  tensor?.datatype.elements.kind === 'float' || tensor?.datatype.elements.kind === 'half';

function largest(tensor: Tensor): number | null {
  let best = -Infinity;
  for (let i = 0; i < tensor.data.length; i += 1) best = Math.max(best, numberAt(tensor, i));
  return Number.isFinite(best) ? best : null;
}

/** The output `confidence`, else the largest of `probabilities`, else of the one output with classes. */
function confidenceOf({ classes }: Model, outputs: Tensors): number | null {
  const stated = outputs['confidence'];
  if (isFloat(stated) && stated.data.length === 1) {
    const value = numberAt(stated, 0);
    return Number.isFinite(value) ? value : null;
  }
  const [name] = classes.size === 1 ? classes.keys() : [];
  const scores = outputs['probabilities'] ?? (name === undefined ? undefined : outputs[name]);
  return isFloat(scores) ? largest(scores) : null;
}

/** `"result":…,"confidence":…,"model_version":…` */
function answerText(model: Model, outputs: Tensors): string {
  const results = model.outputs.map(({ name }) => {
    const tensor = outputs[name];
    return `${JSON.stringify(name)}:${tensor === undefined ? 'null' : outputText(name, tensor, model.classes, 'quoted')}`;
  });
  const confidence = JSON.stringify(confidenceOf(model, outputs));
  return `"result":{${results.join(',')}},"confidence":${confidence},"model_version":"${model.version}"`;
}

/** What one inference took. */
export interface Usage {
  /** Milliseconds in all, waiting included. */
  readonly duration_ms: number;
  /** Requests that shared the run. */
  readonly batch_size: number;
  /** Resident memory of the server. */
  readonly memory_bytes: number;
}

export const inferenceText = (model: Model, outputs: Tensors, usage: Usage): string =>
  `{${answerText(model, outputs)},"resource_usage":${JSON.stringify(usage)}}`;

export function batchText(model: Model, answers: readonly (Tensors | ServeError)[]): string {
  const texts = answers.map((answer) =>
    answer instanceof ServeError
      ? JSON.stringify({ error: { message: answer.message } })
      : `{${answerText(model, answer)}}`,
  );
  return `{"results":[${texts.join(',')}]}`;
}
