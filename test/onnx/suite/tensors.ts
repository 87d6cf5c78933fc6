import { fromHalf } from '../../../runtime/shared/float16';

// Tensors as the exporter writes them, as a request has them, and as an answer.

export interface SuiteTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Elements as bytes, base64. */
  readonly raw?: string;
  readonly texts?: readonly string[];
}

export interface Variant {
  readonly file: string;
  readonly rows: readonly SuiteTensor[];
}

/** A case of the suite. */
export interface SuiteCase {
  readonly name: string;
  readonly kind: string;
  readonly rtol: number;
  readonly atol: number;
  /** What the protocol has no words for. */
  readonly unknown?: string;
  readonly file: string;
  readonly inputs: readonly SuiteTensor[];
  readonly outputs: readonly SuiteTensor[];
  readonly joined: readonly Variant[];
}

export interface Answer {
  readonly status: number;
  readonly error: string;
  readonly outputs: readonly { shape: readonly number[]; values: readonly unknown[] }[];
}

function joinTexts(texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}

export const bytesOf = ({ raw, texts }: SuiteTensor): Buffer =>
  raw === undefined ? joinTexts(texts ?? []) : Buffer.from(raw, 'base64');

/** One row of a tensor with many. */
export function rowOf(tensor: SuiteTensor, row: number): SuiteTensor {
  const [rows = 1, ...rest] = tensor.shape;
  const shape = [1, ...rest];
  if (tensor.raw === undefined) {
    const texts = tensor.texts ?? [];
    const size = texts.length / rows;
    return { ...tensor, shape, texts: texts.slice(row * size, (row + 1) * size) };
  }
  const bytes = bytesOf(tensor);
  const size = bytes.length / rows;
  const own = bytes.subarray(row * size, (row + 1) * size);
  return { ...tensor, shape, raw: own.toString('base64') };
}

type Reader = (view: DataView, at: number) => unknown;

const READERS: Readonly<Record<string, readonly [number, Reader]>> = {
  BOOL: [1, (view, at) => view.getUint8(at)],
  UINT8: [1, (view, at) => view.getUint8(at)],
  INT8: [1, (view, at) => view.getInt8(at)],
  UINT16: [2, (view, at) => view.getUint16(at, true)],
  INT16: [2, (view, at) => view.getInt16(at, true)],
  FP16: [2, (view, at) => fromHalf(view.getUint16(at, true))],
  UINT32: [4, (view, at) => view.getUint32(at, true)],
  INT32: [4, (view, at) => view.getInt32(at, true)],
  FP32: [4, (view, at) => view.getFloat32(at, true)],
  UINT64: [8, (view, at) => view.getBigUint64(at, true)],
  INT64: [8, (view, at) => view.getBigInt64(at, true)],
  FP64: [8, (view, at) => view.getFloat64(at, true)],
};

function textsIn(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at);
    texts.push(bytes.toString('utf8', at + 4, end));
    at = end;
  }
  return texts;
}

function valuesIn(bytes: Buffer, datatype: string): readonly unknown[] {
  const reader = READERS[datatype];
  if (reader === undefined) return textsIn(bytes);
  const [size, read] = reader;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / size }, (_, at) => read(view, at * size));
}

export const valuesOf = (tensor: SuiteTensor): readonly unknown[] =>
  tensor.texts ?? valuesIn(bytesOf(tensor), tensor.datatype);

interface Head {
  readonly outputs: readonly {
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly parameters: { readonly binary_data_size: number };
  }[];
}

const LENGTH = 'inference-header-content-length';

/** Asks by the Open Inference Protocol with binary tensors, which change no value. */
export async function ask(url: string, tensors: readonly SuiteTensor[]): Promise<Answer> {
  const tails = tensors.map(bytesOf);
  const inputs = tensors.map(({ name, datatype, shape }, at) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: tails[at]?.length ?? 0 },
  }));
  const json = JSON.stringify({ inputs, parameters: { binary_data_output: true } });
  const head = Buffer.from(json);
  const send = (): Promise<Response> =>
    fetch(url, {
      method: 'POST',
      body: Buffer.concat([head, ...tails]),
      headers: { [LENGTH]: String(head.length) },
    });
  // On a busy machine the server may end an idle connection while a request is on its way to it.
  const reply = await send().catch(send);
  const bytes = Buffer.from(await reply.arrayBuffer());
  if (reply.status !== 200) {
    return { status: reply.status, error: bytes.toString('utf8'), outputs: [] };
  }
  let at = Number(reply.headers.get(LENGTH) ?? bytes.length);
  const { outputs } = JSON.parse(bytes.toString('utf8', 0, at)) as Head;
  return {
    status: 200,
    error: '',
    outputs: outputs.map(({ datatype, shape, parameters: { binary_data_size: size } }) => {
      const own = Buffer.from(bytes.subarray(at, at + size));
      at += size;
      return { shape, values: valuesIn(own, datatype) };
    }),
  };
}

/** Are two numbers, texts or flags the same, but for rounding? */
export function near(got: unknown, wanted: unknown, rtol: number, atol: number): boolean {
  if (got === wanted || Object.is(got, wanted)) return true;
  if (typeof got !== 'number' || typeof wanted !== 'number') return false;
  return Math.abs(got - wanted) <= atol + rtol * Math.abs(wanted);
}
