import { elementTexts } from './elements';
import { badRequest, listed, shown } from './errors';
import { readJson } from './json';
import { rowInputs } from './native';
import { nestedText } from './nested';
import { outputText } from './output';
import { filled, shapedColumn, withHint } from './shaping';
import type { InputSettings } from './native';
import type { ModelFacts } from './model-facts';
import type { Tensor, Tensors } from './tensor';
import { entryOf, isObject } from '../../lib/spec/entry';

// KServe's V1 protocol, which is TensorFlow Serving's: `instances` are rows, `inputs` are columns.

export type PredictCall =
  | { readonly kind: 'rows'; readonly items: readonly Tensors[] }
  | { readonly kind: 'columns'; readonly inputs: Tensors };

function columnsOf({ model, defaults }: InputSettings, given: unknown): Tensors {
  const known = model.inputs.map(({ name }) => name);
  const [only] = model.inputs;
  if (!isObject(given)) {
    if (only !== undefined && known.length === 1) return { [only.name]: shapedColumn(given, only) };
    throw badRequest(`inputs is ${shown(given)}; it must be an object with ${listed(known)}`);
  }
  const stray = Object.keys(given).filter((name) => !known.includes(name));
  if (stray.length > 0) {
    const names = listed(stray.map((name) => withHint(name, known)));
    throw badRequest(`inputs: the model has no input ${names}; it takes ${listed(known)}`);
  }
  return filled(model.inputs, 'inputs', defaults, (port) => {
    const value = entryOf(given, port.name);
    return value === undefined ? undefined : shapedColumn(value, port);
  });
}

/** Throws ServeError 400. */
export function parsePredict(settings: InputSettings, body: Buffer): PredictCall {
  const value = readJson(body, settings.model.integerMode);
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  const { instances, inputs } = value;
  if ((instances === undefined) === (inputs === undefined)) {
    throw badRequest('the body must have either instances (a list of rows) or inputs (columns)');
  }
  if (inputs !== undefined) return { kind: 'columns', inputs: columnsOf(settings, inputs) };
  if (!Array.isArray(instances)) {
    throw badRequest(`instances is ${shown(instances)}; it must be a list of rows`);
  }
  const items = (instances as unknown[]).map((instance, index) =>
    rowInputs(settings, instance, `instances[${index}]`),
  );
  return { kind: 'rows', items };
}

/** A single output is the bare value, several are an object by name. */
function outputsText(
  { outputs }: ModelFacts,
  tensors: Tensors,
  textOf: (name: string, tensor: Tensor) => string,
): string {
  const texts = outputs.map(({ name }) => {
    const tensor = entryOf(tensors, name);
    return [JSON.stringify(name), tensor === undefined ? 'null' : textOf(name, tensor)] as const;
  });
  const [only] = texts;
  if (only !== undefined && texts.length === 1) return only[1];
  return `{${texts.map((pair) => pair.join(':')).join(',')}}`;
}

/** Rows, each in the words of a native answer: class names, and no fillers. */
export function predictionsText(model: ModelFacts, rows: readonly Tensors[]): string {
  const texts = rows.map((row) =>
    outputsText(model, row, (name, tensor) => outputText(name, tensor, model.classes, 'bare')),
  );
  return `{"predictions":[${texts.join(',')}]}`;
}

/** Columns, as TensorFlow Serving answers `inputs`: whole tensors, as they are. */
export const columnsText = (model: ModelFacts, outputs: Tensors): string =>
  `{"outputs":${outputsText(model, outputs, (_, tensor) => nestedText(elementTexts(tensor, 'bare'), tensor.dims))}}`;
