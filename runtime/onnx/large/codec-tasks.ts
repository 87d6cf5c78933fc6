import { tryFindByOrt } from '../element-type';
import { ServeError } from '../errors';
import { batchText, inferenceText } from '../native-response';
import { inputSettingsOf, parseBatch, parseInference } from '../native';
import { columnsText, parsePredict, predictionsText } from '../v1';
import { inferAnswer, parseInfer } from '../v2';
import { memoryOf, packTensors, unpackTensors } from './packed';
import type { ElementType, OrtType } from '../element-type';
import type { ModelFacts } from '../model-facts';
import type { ResourceUsage } from '../native-response';
import type { InputSettings } from '../native';
import type { Port, Tensors } from '../tensor';
import type { InferCall } from '../v2';
import type { PackedTensors } from './packed';

// Tasks of the thread for large bodies and responses. A message holds no functions, which types of
// elements have; so these go by name.

type SentPort = Omit<Port, 'datatype'> & { readonly type: OrtType };

export type SentModel = Omit<ModelFacts, 'inputs' | 'outputs' | 'inputByName' | 'outputByName'> & {
  readonly inputs: readonly SentPort[];
  readonly outputs: readonly SentPort[];
};

const sentPort = ({ name, shape, datatype }: Port): SentPort => ({
  name,
  shape,
  type: datatype.ort,
});

export const sentModel = (model: ModelFacts): SentModel => ({
  name: model.name,
  version: model.version,
  inputs: model.inputs.map(sentPort),
  outputs: model.outputs.map(sentPort),
  metadata: model.metadata,
  classes: model.classes,
  integerMode: model.integerMode,
});

const portOf = ({ name, shape, type }: SentPort): Port => ({
  name,
  shape,
  datatype: tryFindByOrt(type) as ElementType,
});

const byName = (ports: readonly Port[]): Map<string, Port> =>
  new Map(ports.map((port) => [port.name, port]));

export function inputSettingsFrom(sent: SentModel): InputSettings {
  const inputs = sent.inputs.map(portOf);
  const outputs = sent.outputs.map(portOf);
  const names = { inputByName: byName(inputs), outputByName: byName(outputs) };
  return inputSettingsOf({ ...sent, inputs, outputs, ...names });
}

export type BodyFormat = 'v2' | 'v1' | 'native' | 'batch';

export interface ReadTask {
  readonly op: 'read';
  readonly format: BodyFormat;
  readonly model: string;
  readonly body: Uint8Array;
  /** Header Inference-Header-Content-Length. */
  readonly length: string | undefined;
}

export interface SentError {
  readonly status: number;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A parsed body: one item, or one for each row. */
export interface ReadOutcome {
  readonly kind: 'columns' | 'rows';
  readonly items: PackedTensors;
  /** Of V2. */
  readonly infer: Omit<InferCall, 'inputs'> | undefined;
  /** Items of a batch that are wrong, by their index. */
  readonly refused: readonly (readonly [number, SentError])[];
}

export interface WriteTask {
  readonly op: 'write';
  readonly format: BodyFormat;
  readonly kind: 'columns' | 'rows';
  readonly model: string;
  readonly outputs: PackedTensors;
  /** For native responses, which depend on the input shapes. */
  readonly inputs?: PackedTensors;
  readonly infer?: Omit<InferCall, 'inputs'>;
  readonly usage?: ResourceUsage;
  readonly refused?: ReadOutcome['refused'];
}

export interface WriteOutcome {
  readonly body: Uint8Array;
  /** Of V2 with binary tensors. */
  readonly headerLength?: number;
}

export type OnnxTask = ReadTask | WriteTask;
export interface OnnxOutcomes {
  readonly read: ReadOutcome;
  readonly write: WriteOutcome;
}

export const sentError = ({ status, message, headers }: ServeError): SentError => ({
  status,
  message,
  headers,
});

export const errorFrom = ({ status, message, headers }: SentError): ServeError =>
  new ServeError(status, message, headers);

interface ParsedBody {
  readonly kind: 'columns' | 'rows';
  readonly items: readonly (Tensors | ServeError)[];
  readonly infer?: Omit<InferCall, 'inputs'>;
}

function parseBody(settings: InputSettings, { format, body, length }: ReadTask): ParsedBody {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (format === 'batch') return { kind: 'rows', items: parseBatch(settings, bytes) };
  if (format === 'native') return { kind: 'columns', items: [parseInference(settings, bytes)] };
  if (format === 'v1') {
    const wanted = parsePredict(settings, bytes);
    const items = wanted.kind === 'rows' ? wanted.items : [wanted.inputs];
    return { kind: wanted.kind, items };
  }
  const { inputs, id, outputs } = parseInfer(settings.model, bytes, length);
  return { kind: 'columns', items: [inputs], infer: { id, outputs } };
}

async function readBody(settings: InputSettings, task: ReadTask): Promise<ReadOutcome> {
  const { kind, items, infer } = parseBody(settings, task);
  const good = items.filter((item): item is Tensors => !(item instanceof ServeError));
  const refused = [...items.entries()].flatMap(([index, item]) =>
    item instanceof ServeError ? [[index, sentError(item)] as const] : [],
  );
  return { kind, items: await packTensors(good), infer, refused };
}

/** Items in their order: those that are good, and errors at their indexes. */
export function withRefused<T>(
  good: readonly T[],
  refused: ReadOutcome['refused'],
): (T | ServeError)[] {
  const errors = new Map(refused);
  let next = 0;
  return Array.from({ length: good.length + refused.length }, (_, index) => {
    const error = errors.get(index);
    if (error !== undefined) return errorFrom(error);
    next += 1;
    return good[next - 1] as T;
  });
}

async function textOf({ model }: InputSettings, task: WriteTask): Promise<string> {
  const outputs = await unpackTensors(task.outputs);
  if (task.format === 'v1') {
    const [only = {}] = outputs;
    return task.kind === 'rows' ? predictionsText(model, outputs) : columnsText(model, only);
  }
  const inputs = await unpackTensors(task.inputs ?? { count: 0, columns: [] });
  const answered = outputs.map((own, at) => ({ inputs: inputs[at] ?? {}, outputs: own }));
  if (task.format === 'batch') return batchText(model, withRefused(answered, task.refused ?? []));
  const [only = { inputs: {}, outputs: {} }] = answered;
  return inferenceText(model, only, task.usage as ResourceUsage);
}

/** In memory of its own, which goes to the other thread. */
function ownMemory(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
}

async function writeBody(settings: InputSettings, task: WriteTask): Promise<WriteOutcome> {
  if (task.infer === undefined)
    return { body: ownMemory(Buffer.from(await textOf(settings, task))) };
  const [outputs = {}] = await unpackTensors(task.outputs);
  const answer = await inferAnswer(settings.model, { ...task.infer, inputs: {} }, outputs);
  const body = ownMemory(Buffer.from(answer.body as Buffer));
  return answer.kind === 'json' ? { body } : { body, headerLength: answer.headerLength };
}

export interface TaskReply {
  readonly outcome:
    | { readonly done: ReadOutcome | WriteOutcome }
    | { readonly error: SentError }
    | { readonly fault: string };
  readonly memory: readonly ArrayBuffer[];
}

/** Never rejects: errors are part of the outcome. */
export async function perform(
  models: ReadonlyMap<string, InputSettings>,
  task: OnnxTask,
): Promise<TaskReply> {
  try {
    const settings = models.get(task.model) as InputSettings;
    if (task.op === 'read') {
      const done = await readBody(settings, task);
      return { outcome: { done }, memory: memoryOf(done.items) };
    }
    const done = await writeBody(settings, task);
    return { outcome: { done }, memory: [done.body.buffer as ArrayBuffer] };
  } catch (error) {
    if (error instanceof ServeError) return { outcome: { error: sentError(error) }, memory: [] };
    const stack = (error as Error).stack?.split('\n').slice(1, 6).join('\n');
    // Not its message: it may quote the body.
    return { outcome: { fault: stack ?? '' }, memory: [] };
  }
}
