import { readElements } from './elements';
import { badRequest, listed, ServeError, shown, UnservableModel } from './errors';
import { parseExact, readJson } from './json';
import { filled, shaped, shapedColumn, strayPaths, valueAt, withHint } from './shaping';
import type { ModelFacts } from './model-facts';
import { LARGE_COST } from './tensor';
import type { Port, Tensor, Tensors } from './tensor';
import { entryOf, setEntry, isObject } from '../../lib/spec/entry';

// The native protocol: `input_data` in the caller's own words, `result` by output name. A graph's
// metadata makes it comfortable: `default.<input>`, `padding.<input>`, `classes.<output>`.

/** Input settings from a model's metadata, read once. */
export interface InputSettings {
  readonly model: ModelFacts;
  readonly defaults: ReadonlyMap<string, Tensor>;
  /** One element that fills up the shorter rows of a batch. */
  readonly padding: ReadonlyMap<string, Tensor>;
}

function fromMetadata(
  model: ModelFacts,
  kind: 'default' | 'padding',
  read: (value: unknown, port: Port) => Tensor,
): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const port of model.inputs) {
    const key = `${kind}.${port.name}`;
    const text = model.metadata.get(key);
    if (text === undefined) continue;
    try {
      found.set(port.name, read(parseExact(text, 'exact integers'), port));
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
export function inputSettingsOf(model: ModelFacts): InputSettings {
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

/** How a value becomes the tensor of an input: as one row, or as the rows of a column. */
type ToTensor = typeof shaped;

/** The tensors of one row. Throws ServeError 400 that names the input. */
export const rowInputs = (settings: InputSettings, input: unknown, what: string): Tensors =>
  inputsOf(settings, input, what, shaped);

function inputsOf(settings: InputSettings, input: unknown, what: string, shape: ToTensor): Tensors {
  const { model } = settings;
  const known = model.inputs.map(({ name }) => name);
  const [only] = model.inputs;
  if (!isObject(input)) {
    if (only !== undefined && known.length === 1 && input !== undefined && input !== null) {
      return { [only.name]: shape(input, only) };
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
  return filled(model.inputs, what, settings.defaults, (port) => {
    const value = valueAt(input, port.name);
    return value === undefined || value === null ? undefined : shape(value, port);
  });
}

function objectOf({ model }: InputSettings, body: Buffer): Record<string, unknown> {
  const value = readJson(body, model.integerMode);
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  return value;
}

function callOf(settings: InputSettings, call: Record<string, unknown>): Tensors {
  const { parameters } = call;
  if (parameters !== undefined && parameters !== null && !isObject(parameters)) {
    throw badRequest(`parameters is ${shown(parameters)}; it must be an object`);
  }
  return inputsOf(settings, call['input_data'], 'input_data', shapedColumn);
}

export const parseInference = (settings: InputSettings, body: Buffer): Tensors =>
  callOf(settings, objectOf(settings, body));

/** The items of a batch, in order: tensors or the item's error. */
export function parseBatch(
  settings: InputSettings,
  body: Buffer,
): readonly (Tensors | ServeError)[] {
  const { requests } = objectOf(settings, body);
  if (!Array.isArray(requests)) {
    throw badRequest(
      `requests is ${requests === undefined ? 'missing' : shown(requests)}; ` +
        'it must be a list of {input_data}',
    );
  }
  return (requests as unknown[]).map((item) => {
    try {
      if (!isObject(item)) throw badRequest(`the item is ${shown(item)}; it must be an object`);
      return callOf(settings, item);
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

/**
 * Rows of inputs that state a padding, widened to the widest, so that the items can share a run.
 * One very long row does not make all others as long: then they stay as they are.
 */
export function padded({ padding }: InputSettings, items: readonly Tensors[]): readonly Tensors[] {
  const widths = new Map<string, number>();
  for (const name of padding.keys()) {
    const all = items.map((item) => entryOf(item, name)?.dims ?? []);
    const isRow = all.every((dims) => dims.length === 2 && dims[0] === 1);
    const width = Math.max(0, ...all.map((dims) => dims[1] ?? 0));
    if (isRow && width * items.length <= LARGE_COST) widths.set(name, width);
  }
  if (widths.size === 0) return items;
  return items.map((item) => {
    const wide: Record<string, Tensor> = { ...item };
    for (const [name, width] of widths) {
      const own = entryOf(item, name) as Tensor;
      setEntry(wide, name, widened(own, width, padding.get(name) as Tensor));
    }
    return wide;
  });
}
