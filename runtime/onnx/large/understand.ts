import { tryFindByOrt } from '../datatype';
import { ServeError } from '../errors';
import { batchText, inferenceText } from '../native-answer';
import { mannersOf, parseBatch, parseInference } from '../native';
import { columnsText, parsePredict, predictionsText } from '../v1';
import { inferAnswer, parseInfer } from '../v2';
import { memoryOf, packed, unpacked } from './packed';
import type { Datatype, OrtType } from '../datatype';
import type { ModelFacts } from '../model';
import type { Usage } from '../native-answer';
import type { Manners } from '../native';
import type { Port, Tensors } from '../tensor';
import type { Infer } from '../v2';
import type { Packed } from './packed';

// What the thread for large bodies and answers does. A message holds no functions, which types of
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
  numbers: model.numbers,
});

const portOf = ({ name, shape, type }: SentPort): Port => ({
  name,
  shape,
  datatype: tryFindByOrt(type) as Datatype,
});

const byName = (ports: readonly Port[]): Map<string, Port> =>
  new Map(ports.map((port) => [port.name, port]));

export function mannersFrom(sent: SentModel): Manners {
  const inputs = sent.inputs.map(portOf);
  const outputs = sent.outputs.map(portOf);
  const names = { inputByName: byName(inputs), outputByName: byName(outputs) };
  return mannersOf({ ...sent, inputs, outputs, ...names });
}

export type How = 'v2' | 'v1' | 'native' | 'batch';

export interface ReadTask {
  readonly op: 'read';
  readonly how: How;
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

/** What a body asks for: one item, or one for each row. */
export interface ReadOutcome {
  readonly kind: 'columns' | 'rows';
  readonly items: Packed;
  /** Of V2. */
  readonly asked: Omit<Infer, 'inputs'> | undefined;
  /** Items of a batch that are wrong, by their index. */
  readonly refused: readonly (readonly [number, SentError])[];
}

export interface WriteTask {
  readonly op: 'write';
  readonly how: How;
  readonly kind: 'columns' | 'rows';
  readonly model: string;
  readonly outputs: Packed;
  /** Of native answers, which depend on the shapes of what went in. */
  readonly inputs?: Packed;
  readonly asked?: Omit<Infer, 'inputs'>;
  readonly usage?: Usage;
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

interface Asking {
  readonly kind: 'columns' | 'rows';
  readonly items: readonly (Tensors | ServeError)[];
  readonly asked?: Omit<Infer, 'inputs'>;
}

function askedBy(manners: Manners, { how, body, length }: ReadTask): Asking {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (how === 'batch') return { kind: 'rows', items: parseBatch(manners, bytes) };
  if (how === 'native') return { kind: 'columns', items: [parseInference(manners, bytes)] };
  if (how === 'v1') {
    const wanted = parsePredict(manners, bytes);
    const items = wanted.kind === 'rows' ? wanted.items : [wanted.inputs];
    return { kind: wanted.kind, items };
  }
  const { inputs, id, outputs } = parseInfer(manners.model, bytes, length);
  return { kind: 'columns', items: [inputs], asked: { id, outputs } };
}

export async function read(manners: Manners, task: ReadTask): Promise<ReadOutcome> {
  const { kind, items, asked } = askedBy(manners, task);
  const good = items.filter((item): item is Tensors => !(item instanceof ServeError));
  const refused = [...items.entries()].flatMap(([index, item]) =>
    item instanceof ServeError ? [[index, sentError(item)] as const] : [],
  );
  return { kind, items: await packed(good), asked, refused };
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

async function textOf({ model }: Manners, task: WriteTask): Promise<string> {
  const outputs = await unpacked(task.outputs);
  if (task.how === 'v1') {
    const [only = {}] = outputs;
    return task.kind === 'rows' ? predictionsText(model, outputs) : columnsText(model, only);
  }
  const inputs = await unpacked(task.inputs ?? { count: 0, columns: [] });
  const answered = outputs.map((own, at) => ({ inputs: inputs[at] ?? {}, outputs: own }));
  if (task.how === 'batch') return batchText(model, withRefused(answered, task.refused ?? []));
  const [only = { inputs: {}, outputs: {} }] = answered;
  return inferenceText(model, only, task.usage as Usage);
}

/** In memory of its own, which goes to the other thread. */
function alone(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
}

export async function write(manners: Manners, task: WriteTask): Promise<WriteOutcome> {
  if (task.asked === undefined) return { body: alone(Buffer.from(await textOf(manners, task))) };
  const [outputs = {}] = await unpacked(task.outputs);
  const answer = inferAnswer(manners.model, { ...task.asked, inputs: {} }, outputs);
  const body = alone(Buffer.from(answer.body as Buffer));
  return answer.kind === 'json' ? { body } : { body, headerLength: answer.headerLength };
}

export interface Done {
  readonly told:
    | { readonly done: ReadOutcome | WriteOutcome }
    | { readonly error: SentError }
    | { readonly fault: string };
  readonly memory: readonly ArrayBuffer[];
}

/** Never rejects: what is wrong is told. */
export async function perform(models: ReadonlyMap<string, Manners>, task: OnnxTask): Promise<Done> {
  try {
    const manners = models.get(task.model) as Manners;
    if (task.op === 'read') {
      const done = await read(manners, task);
      return { told: { done }, memory: memoryOf(done.items) };
    }
    const done = await write(manners, task);
    return { told: { done }, memory: [done.body.buffer as ArrayBuffer] };
  } catch (error) {
    if (error instanceof ServeError) return { told: { error: sentError(error) }, memory: [] };
    const stack = (error as Error).stack?.split('\n').slice(1, 6).join('\n');
    // Not its message: it may quote the body.
    return { told: { fault: stack ?? '' }, memory: [] };
  }
}
