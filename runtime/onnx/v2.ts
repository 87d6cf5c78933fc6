import { BinaryTail, headLength, naming, TensorFault } from '../shared/binary';
import { joined } from '../shared/join-buffers';
import { readBinary, writeBinary } from './binary';
import { readElements, writeElements } from './elements';
import { badRequest, listed, shown } from './errors';
import { readJson } from './json';
import { withHint } from './shaping';
import { checkedDims, checkFits, shapeText } from './tensor';
import type { ModelFacts } from './model-facts';
import type { Port, Tensor, Tensors } from './tensor';
import { entryOf, setEntry, isObject } from '../../lib/spec/entry';

// The Open Inference Protocol (V2) with the binary tensor data extension, as bytes in and bytes
// out.

export const SERVER_METADATA = {
  name: 'ai-model-service-onnx',
  version: '1',
  extensions: ['binary_tensor_data', 'model_repository'],
};

const portMetadata = ({ name, datatype, shape }: Port): object => ({
  name,
  datatype: datatype.v2,
  // The protocol has no word for an unknown rank.
  shape: shape ?? [-1],
});

export function modelMetadata({ name, version, inputs, outputs, classes }: ModelFacts): object {
  return {
    name,
    versions: [version],
    platform: 'onnx_onnxv1',
    inputs: inputs.map(portMetadata),
    outputs: outputs.map(portMetadata),
    ...(classes.size > 0 && { parameters: { classes: Object.fromEntries(classes) } }),
  };
}

interface RequestedOutput {
  readonly name: string;
  readonly binary: boolean;
}

export interface InferCall {
  readonly id: string | undefined;
  readonly inputs: Tensors;
  readonly outputs: readonly RequestedOutput[];
}

function inputOf(given: Record<string, unknown>, port: Port, tail: BinaryTail): Tensor {
  const { name, datatype } = port;
  if (given['datatype'] !== datatype.v2) {
    throw badRequest(
      `input '${name}': datatype is ${shown(given['datatype'])}; the model takes ${datatype.v2}`,
    );
  }
  const dims = checkedDims(given['shape'], name);
  checkFits(dims, port);
  const { parameters } = given;
  const size = isObject(parameters) ? parameters['binary_data_size'] : undefined;
  if (size !== undefined) {
    const data = naming(`input '${name}'`, () => readBinary(tail.take(size), datatype, dims, name));
    return { datatype, dims, data };
  }
  if (given['data'] === undefined) throw badRequest(`input '${name}' has no data`);
  return { datatype, dims, data: readElements(given['data'], datatype, dims, name) };
}

/** Checks that every input of the graph is there; names those that are not. */
function checkComplete(model: ModelFacts, inputs: Tensors): void {
  const missing = model.inputs.filter(({ name }) => entryOf(inputs, name) === undefined);
  if (missing.length === 0) return;
  const named = ({ name, datatype, shape }: Port): string =>
    `'${name}' (${datatype.v2} ${shapeText(shape)})`;
  throw badRequest(
    `missing input ${listed(missing.map(named))}; ` +
      `the model takes ${listed(model.inputs.map(({ name }) => `'${name}'`))}, ` +
      'and V2 has no defaults: every tensor must be sent',
  );
}

function inputsOf(given: unknown, model: ModelFacts, tail: BinaryTail): Tensors {
  if (!Array.isArray(given)) {
    throw badRequest(
      `inputs is ${shown(given)}; it must be a list of {name, shape, datatype, data}`,
    );
  }
  const tensors: Record<string, Tensor> = {};
  for (const each of given as unknown[]) {
    if (!isObject(each)) throw badRequest(`inputs holds ${shown(each)}; it must hold objects`);
    const { name } = each;
    const port = typeof name === 'string' ? model.inputByName.get(name) : undefined;
    if (port === undefined) throw badRequest(unknownPort('input', name, model.inputs));
    if (Object.hasOwn(tensors, port.name)) throw badRequest(`input '${port.name}' is given twice`);
    setEntry(tensors, port.name, inputOf(each, port, tail));
  }
  checkComplete(model, tensors);
  return tensors;
}

function unknownPort(what: string, name: unknown, ports: readonly Port[]): string {
  const known = ports.map((port) => port.name);
  const given = typeof name === 'string' ? withHint(name, known) : shown(name);
  return `the model has no ${what} ${given}; it has ${listed(known)}`;
}

function outputOf(given: unknown, model: ModelFacts, allBinary: boolean): RequestedOutput {
  const name = isObject(given) ? given['name'] : undefined;
  const port = typeof name === 'string' ? model.outputByName.get(name) : undefined;
  if (!isObject(given) || port === undefined) {
    throw badRequest(unknownPort('output', name ?? given, model.outputs));
  }
  const parameters = isObject(given['parameters']) ? given['parameters'] : {};
  if (parameters['classification'] !== undefined && parameters['classification'] !== 0) {
    throw badRequest(
      `output '${port.name}': classification is not offered; ask for the scores and sort them`,
    );
  }
  const binary = parameters['binary_data'];
  return { name: port.name, binary: typeof binary === 'boolean' ? binary : allBinary };
}

function outputsOf(
  given: unknown,
  model: ModelFacts,
  allBinary: boolean,
): readonly RequestedOutput[] {
  if (given !== undefined && !Array.isArray(given)) {
    throw badRequest(`outputs is ${shown(given)}; it must be a list of {name}`);
  }
  if (given === undefined || given.length === 0) {
    return model.outputs.map(({ name }) => ({ name, binary: allBinary }));
  }
  const wanted = (given as unknown[]).map((each) => outputOf(each, model, allBinary));
  if (new Set(wanted.map(({ name }) => name)).size < wanted.length) {
    throw badRequest('an output is asked for twice');
  }
  return wanted;
}

/**
 * Reads the body of an infer call. `length` is the header Inference-Header-Content-Length, which
 * says that binary tensors follow so many bytes of JSON. Throws ServeError 400.
 */
export function parseInfer(model: ModelFacts, body: Buffer, length: string | undefined): InferCall {
  try {
    return parsed(model, body, length);
  } catch (error) {
    throw error instanceof TensorFault ? badRequest(error.message) : error;
  }
}

function parsed(model: ModelFacts, body: Buffer, length: string | undefined): InferCall {
  const split = headLength(length, body);
  const head = split === body.length ? body : body.subarray(0, split);
  const value = readJson(head, model.integerMode);
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  const { id, parameters } = value;
  const allBinary = isObject(parameters) && parameters['binary_data_output'] === true;
  const tail = new BinaryTail(body.subarray(split));
  const inputs = inputsOf(value['inputs'], model, tail);
  tail.checkEnd();
  return {
    // Clients want a string or nothing, never null.
    id: typeof id === 'string' ? id : undefined,
    inputs,
    outputs: outputsOf(value['outputs'], model, allBinary),
  };
}

/** An answer of JSON alone, or of JSON and binary tensors behind it. */
export type InferAnswer =
  | { readonly kind: 'json'; readonly body: string | Buffer }
  | { readonly kind: 'binary'; readonly body: Buffer; readonly headerLength: number };

export async function inferAnswer(
  model: ModelFacts,
  { id, outputs }: InferCall,
  tensors: Tensors,
): Promise<InferAnswer> {
  const tails: Buffer[] = [];
  let text = `{"model_name":"${model.name}","model_version":"${model.version}",`;
  if (id !== undefined) text += `"id":${JSON.stringify(id)},`;
  text += '"outputs":[';
  for (const [index, { name, binary }] of outputs.entries()) {
    const tensor = entryOf(tensors, name);
    if (tensor === undefined) throw new Error(`the model gave no output '${name}'`);
    const dims = tensor.dims.join(',');
    text += `${index === 0 ? '' : ','}{"name":${JSON.stringify(name)},`;
    text += `"datatype":"${tensor.datatype.v2}","shape":[${dims}],`;
    if (binary) {
      const bytes = writeBinary(tensor);
      tails.push(bytes);
      text += `"parameters":{"binary_data_size":${bytes.length}}}`;
    } else text += `"data":[${writeElements(tensor)}]}`;
  }
  text += ']}';
  if (tails.length === 0) return { kind: 'json', body: text };
  const head = Buffer.from(text);
  return { kind: 'binary', body: await joined([head, ...tails]), headerLength: head.length };
}
