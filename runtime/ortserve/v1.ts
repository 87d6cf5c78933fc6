import { nestedText } from './elements';
import { badRequest, listed, shown } from './errors';
import { isObject, parseExact } from './json';
import type { Session } from './session';
import type { Port, Tensor, Tensors } from './tensor';
import { checkFits } from './tensor';
import { fromJson } from './elements';
import type { NativeModel } from './native';
import { dimsOf, valueAt } from './values';

// KServe V1 predict (TensorFlow Serving's REST): rows in `instances`, or columns in `inputs`.

function tensor(port: Port, value: unknown): Tensor {
  const own = dimsOf(value);
  const rank = port.shape?.length ?? own.length;
  // Rows of single values for an input [batch, 1].
  const dims = own.length === rank - 1 ? [...own, 1] : own;
  checkFits(dims, port);
  const { name, datatype } = port;
  return { datatype, dims, data: fromJson(name, datatype, dims, value) };
}

function rowValues(instances: readonly unknown[], port: Port, only: boolean): readonly unknown[] {
  return instances.map((instance, index) => {
    const value = isObject(instance) ? valueAt(instance, port.name) : only ? instance : undefined;
    if (value !== undefined) return value;
    throw badRequest(
      `instances[${index}]: ${port.name} is missing; it must be an object of the model's inputs`,
    );
  });
}

/** A default, once for each row. */
function repeated(one: Tensor, rows: number): Tensor {
  const dims = [rows, ...one.dims.slice(1)];
  const list = Array.from({ length: rows }, () => [...(one.data as Iterable<unknown>)]).flat();
  const data = Array.isArray(one.data)
    ? (list as string[])
    : (one.data.constructor as unknown as { from: (values: unknown[]) => Tensor['data'] }).from(
        list,
      );
  return { datatype: one.datatype, dims, data };
}

function hasValue(instances: readonly unknown[], name: string): boolean {
  return instances.some((one) => isObject(one) && valueAt(one, name) !== undefined);
}

function fromRows({ session, defaults }: NativeModel, instances: readonly unknown[]): Tensors {
  const ports = session.graph.inputs;
  const only = ports.length === 1;
  return Object.fromEntries(
    ports.map((port) => {
      const known = defaults.get(port.name);
      const useDefault = known !== undefined && !only && !hasValue(instances, port.name);
      const made = useDefault
        ? repeated(known, instances.length)
        : tensor(port, rowValues(instances, port, only));
      return [port.name, made];
    }),
  );
}

function fromColumns({ graph }: Session, inputs: unknown): Tensors {
  const names = graph.inputs.map(({ name }) => name);
  const [only] = graph.inputs;
  if (!isObject(inputs)) {
    if (only !== undefined && names.length === 1) return { [only.name]: tensor(only, inputs) };
    throw badRequest(`inputs is ${shown(inputs)}; it must be an object with ${listed(names)}`);
  }
  const stray = Object.keys(inputs).filter((name) => !names.includes(name));
  if (stray.length > 0)
    throw badRequest(`there is no input ${listed(stray)}; inputs are ${listed(names)}`);
  return Object.fromEntries(
    graph.inputs.map((port) => {
      if (inputs[port.name] === undefined) throw badRequest(`inputs: ${port.name} is missing`);
      return [port.name, tensor(port, inputs[port.name])];
    }),
  );
}

export interface Predict {
  readonly feeds: Tensors;
  readonly form: 'rows' | 'columns';
}

/** @throws ServeError 400 */
export function parsePredict(model: NativeModel, body: Buffer): Predict {
  const value = parseExact(body.toString('utf8'));
  if (!isObject(value)) throw badRequest(`the body is ${shown(value)}; it must be an object`);
  const { instances, inputs } = value;
  if (inputs !== undefined && instances === undefined) {
    return { feeds: fromColumns(model.session, inputs), form: 'columns' };
  }
  if (!Array.isArray(instances) || instances.length === 0) {
    throw badRequest(`instances is ${shown(instances)}; it must be a list of at least one row`);
  }
  return { feeds: fromRows(model, instances), form: 'rows' };
}

const rowText = ({ datatype, dims, data }: Tensor, row: number): string => {
  const size = dims.slice(1).reduce((product, one) => product * one, 1);
  return nestedText({ datatype, dims, data }, dims.slice(1), row * size);
};

/** `predictions` by row when every output has as many rows, else `outputs` by name. */
export function predictBody({ graph }: Session, { form }: Predict, outputs: Tensors): string {
  const entries = graph.outputs.flatMap(({ name }) => {
    const one = outputs[name];
    return one === undefined ? [] : [[name, one] as const];
  });
  const rows = entries[0]?.[1].dims[0];
  const byRow = rows !== undefined && entries.every(([, { dims }]) => dims[0] === rows);
  if (form === 'columns' || !byRow) {
    const texts = entries.map(
      ([name, one]) => `${JSON.stringify(name)}:${nestedText(one, one.dims)}`,
    );
    const single = entries.length === 1 ? texts[0]?.slice(texts[0].indexOf(':') + 1) : undefined;
    return `{"outputs":${single ?? `{${texts.join(',')}}`}}`;
  }
  const predictions = Array.from({ length: rows }, (_, row) => {
    const cells = entries.map(([name, one]) => [JSON.stringify(name), rowText(one, row)] as const);
    return cells.length === 1
      ? (cells[0]?.[1] ?? 'null')
      : `{${cells.map((cell) => cell.join(':')).join(',')}}`;
  });
  return `{"predictions":[${predictions.join(',')}]}`;
}
