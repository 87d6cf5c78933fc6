import { elementText, nestedText } from './elements';
import { badRequest, listed, ServeError, shown } from './errors';
import { isObject, parseExact } from './json';
import type { Session } from './session';
import type { Tensor, Tensors } from './tensor';
import { classesOf, defaultsOf, paddingOf, tensorOfValue, valueAt } from './values';

// The native protocol: `input_data` in the caller's own shape, `result` by name of output.

/** Knows a model's inputs by their paths in `input_data`. */
export interface NativeModel {
  readonly session: Session;
  readonly defaults: ReadonlyMap<string, Tensor>;
}

export function nativeModel(session: Session): NativeModel {
  return { session, defaults: defaultsOf(session) };
}

/** Paths of a caller's values that no input takes. */
function strayPaths(
  value: Record<string, unknown>,
  names: readonly string[],
  prefix = '',
): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = `${prefix}${key}`;
    if (names.includes(path)) return [];
    const isParent = names.some((name) => name.startsWith(`${path}.`));
    return isParent && isObject(inner) ? strayPaths(inner, names, `${path}.`) : [path];
  });
}

/** @throws ServeError 400 that names the input */
export function feedsOfInput({ session, defaults }: NativeModel, input: unknown): Tensors {
  const ports = session.graph.inputs;
  const names = ports.map(({ name }) => name);
  if (!isObject(input)) {
    throw badRequest(`input_data is ${shown(input)}; it must be an object with ${listed(names)}`);
  }
  const stray = strayPaths(input, names);
  if (stray.length > 0) {
    throw badRequest(`input_data: ${listed(stray)} is no input; inputs are ${listed(names)}`);
  }
  const feeds = ports.map((port) => {
    const value = valueAt(input, port.name);
    if (value !== undefined && value !== null)
      return [port.name, tensorOfValue(value, port)] as const;
    const known = defaults.get(port.name);
    if (known !== undefined) return [port.name, known] as const;
    throw badRequest(`input_data: ${port.name} is missing; inputs are ${listed(names)}`);
  });
  return Object.fromEntries(feeds);
}

/** Texts without the empty ones that only fill a row up. */
function withoutPadding({ data }: Tensor): string {
  const texts = (data as string[]).filter((text) => text !== '');
  return JSON.stringify(texts);
}

function classesText(tensor: Tensor, classes: readonly string[]): string {
  const pairs = classes.map(
    (name, index) => `${JSON.stringify(name)}:${elementText(tensor, index)}`,
  );
  return `{${pairs.join(',')}}`;
}

/** One output as JSON: the batch of one is taken off, a row of classes gets their names. */
function outputText(session: Session, name: string, tensor: Tensor): string {
  const inner = tensor.dims[0] === 1 ? tensor.dims.slice(1) : tensor.dims;
  const classes = classesOf(session, name);
  if (classes !== undefined && inner.length === 1 && inner[0] === classes.length) {
    return classesText(tensor, classes);
  }
  if (tensor.datatype === 'BYTES' && inner.length === 1) return withoutPadding(tensor);
  return nestedText(tensor, inner);
}

const isFloat = ({ datatype }: Tensor): boolean => datatype === 'FP32' || datatype === 'FP64';

/** The output `confidence`, else the largest of the output `probabilities`, or of one row of classes. */
function confidenceOf(session: Session, outputs: Tensors): string {
  const { confidence } = outputs;
  if (confidence !== undefined && isFloat(confidence) && confidence.data.length === 1) {
    return elementText(confidence, 0);
  }
  const named = Object.entries(outputs).find(
    ([name]) => name === 'probabilities' || classesOf(session, name) !== undefined,
  )?.[1];
  if (named === undefined || !isFloat(named) || named.data.length === 0) return 'null';
  let best = 0;
  named.data.forEach((value: unknown, index: number) => {
    if (Number(value) > Number(named.data[best])) best = index;
  });
  return elementText(named, best);
}

/** `{"result", "confidence", "model_version"}` without its closing brace. */
function resultText(session: Session, outputs: Tensors): string {
  const texts = session.graph.outputs.flatMap(({ name }) => {
    const tensor = outputs[name];
    return tensor === undefined
      ? []
      : [`${JSON.stringify(name)}:${outputText(session, name, tensor)}`];
  });
  const version = JSON.stringify(session.version);
  return `{"result":{${texts.join(',')}},"confidence":${confidenceOf(session, outputs)},"model_version":${version}`;
}

export function resultBody(session: Session, outputs: Tensors, milliseconds: number): string {
  const usage = `{"inference_ms":${Math.round(milliseconds * 1000) / 1000}}`;
  return `${resultText(session, outputs)},"resource_usage":${usage}}`;
}

/** Widens the rows of padded inputs to the widest of the batch, so that they can share a run. */
export function padded(session: Session, items: readonly Tensors[]): readonly Tensors[] {
  const names = session.graph.inputs.map(({ name }) => name);
  const widths = new Map<string, number>();
  for (const name of names) {
    if (paddingOf(session, name) === undefined) continue;
    const rows = items.map((feeds) => feeds[name]);
    if (rows.every((one) => one?.dims.length === 2 && one.dims[0] === 1)) {
      widths.set(name, Math.max(...rows.map((one) => one?.dims[1] ?? 0)));
    }
  }
  return items.map((feeds) => {
    const entries = Object.entries(feeds).map(([name, tensor]) => {
      const width = widths.get(name);
      return [name, width === undefined ? tensor : widened(session, name, tensor, width)] as const;
    });
    return Object.fromEntries(entries);
  });
}

function widened(session: Session, name: string, tensor: Tensor, width: number): Tensor {
  const missing = width - (tensor.dims[1] ?? 0);
  if (missing <= 0 || tensor.datatype !== 'BYTES') return tensor;
  const fill = Array<string>(missing).fill(paddingOf(session, name) ?? '');
  return { ...tensor, dims: [1, width], data: [...(tensor.data as string[]), ...fill] };
}

export function parseCall(body: Buffer): Record<string, unknown> {
  const value = parseExact(body.toString('utf8'));
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  return value;
}

/** Items of a batch, each with its feeds or what is wrong with it. */
export function parseBatch(model: NativeModel, body: Buffer): readonly (Tensors | ServeError)[] {
  const { requests } = parseCall(body);
  if (!Array.isArray(requests)) {
    throw badRequest(`requests is ${shown(requests)}; it must be a list of {input_data}`);
  }
  return (requests as unknown[]).map((item) => {
    try {
      return feedsOfInput(model, isObject(item) ? item['input_data'] : undefined);
    } catch (error) {
      if (error instanceof ServeError) return error;
      throw error;
    }
  });
}

export function batchBody(session: Session, results: readonly (Tensors | ServeError)[]): string {
  const texts = results.map((one) =>
    one instanceof ServeError
      ? JSON.stringify({ error: { message: one.message } })
      : `${resultText(session, one)}}`,
  );
  return `{"results":[${texts.join(',')}]}`;
}
