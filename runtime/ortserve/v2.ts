import type { Datatype } from './datatype';
import { DATATYPES } from './datatype';
import { flatText, fromBinary, fromJson, toBinary } from './elements';
import { badRequest, listed, shown } from './errors';
import { isObject, parseExact } from './json';
import type { Session } from './session';
import type { Port, Tensor, Tensors } from './tensor';
import { checkedDims, checkFits } from './tensor';

// The Open Inference Protocol V2 over HTTP: JSON, and its binary tensor extension.

export const SERVER_METADATA = {
  name: 'ai-model-service',
  extensions: ['binary_tensor_data', 'model_repository'],
};

function portMetadata({ name, datatype, shape }: Port): object {
  return { name, datatype, shape: shape ?? [-1] };
}

export function modelMetadata({ name, version, graph }: Session): object {
  return {
    name,
    versions: [version],
    platform: 'onnxruntime_onnx',
    inputs: graph.inputs.map(portMetadata),
    outputs: graph.outputs.map(portMetadata),
  };
}

/** What a request asks for, beside its feeds. */
export interface Wanted {
  readonly id: string | undefined;
  readonly feeds: Tensors;
  /** Name, and whether it goes as bytes; in the order of the answer. */
  readonly outputs: readonly { readonly port: Port; readonly binary: boolean }[];
}

/** JSON, and behind it the binary tensors when the header says how long the JSON is. */
function parts(body: Buffer, headerLength: string | undefined) {
  if (headerLength === undefined) return { json: body, rest: undefined };
  const length = Number(headerLength);
  if (!/^\d+$/.test(headerLength) || length > body.length) {
    throw badRequest(
      `Inference-Header-Content-Length: got ${shown(headerLength)}, must be at most the ${body.length} bytes of the body`,
    );
  }
  return { json: body.subarray(0, length), rest: body.subarray(length) };
}

/** Takes the binary tensors one after the other. */
class Binary {
  private at = 0;
  constructor(private readonly bytes: Buffer | undefined) {}

  take(name: string, size: unknown): Buffer {
    const left = (this.bytes?.length ?? 0) - this.at;
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > left) {
      throw badRequest(
        `input '${name}': binary_data_size is ${shown(size)}, ${left} binary bytes are left`,
      );
    }
    this.at += size;
    return this.bytes?.subarray(this.at - size, this.at) ?? Buffer.alloc(0);
  }

  checkEnd(): void {
    const left = (this.bytes?.length ?? 0) - this.at;
    if (left > 0) throw badRequest(`${left} binary bytes belong to no input`);
  }
}

function datatypeOf(value: unknown, port: Port): Datatype {
  if (value === port.datatype) return port.datatype;
  const known = DATATYPES.some((one) => one === value);
  const what = known ? '' : ', which is no datatype';
  throw badRequest(
    `input '${port.name}': datatype is ${shown(value)}${what}, the model takes ${port.datatype}`,
  );
}

function tensorOf(given: Record<string, unknown>, port: Port, binary: Binary): Tensor {
  const { name } = port;
  const datatype = datatypeOf(given['datatype'], port);
  const dims = checkedDims(given['shape'], name);
  checkFits(dims, port);
  const { parameters, data } = given;
  const size = isObject(parameters) ? parameters['binary_data_size'] : undefined;
  if (size !== undefined) {
    return { datatype, dims, data: fromBinary(name, datatype, dims, binary.take(name, size)) };
  }
  if (!Array.isArray(data)) {
    throw badRequest(`input '${name}': data is ${shown(data)}, must be a list`);
  }
  return { datatype, dims, data: fromJson(name, datatype, dims, data) };
}

function feedsOf(inputs: unknown, session: Session, binary: Binary): Tensors {
  if (!Array.isArray(inputs)) {
    throw badRequest(
      `inputs is ${shown(inputs)}; it must be a list of {name, shape, datatype, data}`,
    );
  }
  const ports = new Map(session.graph.inputs.map((port) => [port.name, port]));
  const feeds: Record<string, Tensor> = {};
  for (const given of inputs as unknown[]) {
    const name = isObject(given) ? given['name'] : undefined;
    const port = ports.get(String(name));
    if (!isObject(given) || port === undefined) {
      throw badRequest(`there is no input ${shown(name)}; inputs are ${listed([...ports.keys()])}`);
    }
    if (feeds[port.name] !== undefined) throw badRequest(`input '${port.name}' is given twice`);
    feeds[port.name] = tensorOf(given, port, binary);
  }
  binary.checkEnd();
  const missing = [...ports.keys()].filter((name) => feeds[name] === undefined);
  if (missing.length === 0) return feeds;
  throw badRequest(`input ${listed(missing)} is missing; inputs are ${listed([...ports.keys()])}`);
}

function outputsOf(given: unknown, { graph }: Session, allBinary: boolean): Wanted['outputs'] {
  if (given === undefined) return graph.outputs.map((port) => ({ port, binary: allBinary }));
  if (!Array.isArray(given)) throw badRequest(`outputs is ${shown(given)}; it must be a list`);
  return (given as unknown[]).map((one) => {
    const name = isObject(one) ? one['name'] : undefined;
    const port = graph.outputs.find((output) => output.name === name);
    if (!isObject(one) || port === undefined) {
      const known = graph.outputs.map((output) => output.name);
      throw badRequest(`there is no output ${shown(name)}; outputs are ${listed(known)}`);
    }
    const { parameters } = one;
    if (isObject(parameters) && parameters['classification'] !== undefined) {
      throw badRequest(`output '${port.name}': classification is not offered; sort the scores`);
    }
    const wish = isObject(parameters) ? parameters['binary_data'] : undefined;
    return { port, binary: typeof wish === 'boolean' ? wish : allBinary };
  });
}

/** @throws ServeError 400 */
export function parseInfer(
  body: Buffer,
  headerLength: string | undefined,
  session: Session,
): Wanted {
  const { json, rest } = parts(body, headerLength);
  const value = parseExact(json.toString('utf8'));
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  const { id, parameters, inputs, outputs } = value;
  const allBinary = isObject(parameters) && parameters['binary_data_output'] === true;
  return {
    id: typeof id === 'string' ? id : undefined,
    feeds: feedsOf(inputs, session, new Binary(rest)),
    outputs: outputsOf(outputs, session, allBinary),
  };
}

/** The answer; `headerLength` is set when binary tensors follow the JSON. */
export interface InferAnswer {
  readonly body: Buffer | string;
  readonly headerLength: number | undefined;
}

export function inferAnswer(session: Session, wanted: Wanted, outputs: Tensors): InferAnswer {
  const tails: Buffer[] = [];
  const texts = wanted.outputs.map(({ port, binary }) => {
    const tensor = outputs[port.name];
    if (tensor === undefined) throw new Error(`the graph gave no output ${port.name}`);
    const head = `{"name":${JSON.stringify(port.name)},"datatype":"${tensor.datatype}","shape":[${tensor.dims.join(',')}]`;
    if (!binary) return `${head},"data":${flatText(tensor)}}`;
    const bytes = toBinary(tensor);
    tails.push(bytes);
    return `${head},"parameters":{"binary_data_size":${bytes.length}}}`;
  });
  const id = wanted.id === undefined ? '' : `"id":${JSON.stringify(wanted.id)},`;
  const { name, version } = session;
  const json = `{${id}"model_name":${JSON.stringify(name)},"model_version":${JSON.stringify(version)},"outputs":[${texts.join(',')}]}`;
  if (!wanted.outputs.some(({ binary }) => binary)) return { body: json, headerLength: undefined };
  const head = Buffer.from(json);
  return { body: Buffer.concat([head, ...tails]), headerLength: head.length };
}
