import { headLength, LENGTH_BYTES } from '../../shared/binary';
import { joined } from '../../shared/join-buffers';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import { batchText, inferenceText } from '../native-response';
import { parseBatch, parseInference } from '../native';
import { columnsText, parsePredict, predictionsText } from '../v1';
import { inferAnswer, parseInfer } from '../v2';
import { memoryOf, packTensors, unpackTensors } from './packed';
import { sentError, withRefused } from './codec-tasks';
import { ServeError } from '../errors';
import type { NativeResult, ResourceUsage } from '../native-response';
import type { InputSettings } from '../native';
import type { Port, Tensors } from '../tensor';
import type { PredictCall } from '../v1';
import type { InferCall, InferAnswer } from '../v2';
import type { CodecThread } from './codec-thread';
import type { BodyFormat, ReadOutcome, WriteTask } from './codec-tasks';

// Reads bodies and writes responses: small ones here, large ones in the thread.

/** An answer with more elements is written in the thread: so many take a few milliseconds. */
const LARGE_ELEMENTS = 10_000;

const hasStrings = (ports: readonly Port[]): boolean =>
  ports.some(({ datatype }) => datatype.bytes === 0);

/** How much of an answer is written element by element. */
function elementsIn(items: readonly Tensors[], isWritten: (name: string) => boolean): number {
  let count = items.length;
  for (const item of items) {
    for (const [name, { data, datatype }] of Object.entries(item)) {
      if (datatype.bytes === 0) {
        for (const text of data as readonly string[]) count += 1 + text.length / 16;
      } else if (isWritten(name)) count += data.length;
    }
    if (count > LARGE_ELEMENTS) return count;
  }
  return count;
}

const all = (): boolean => true;

/** Reads and writes for one model. */
export class ModelCodec {
  constructor(
    private readonly settings: InputSettings,
    private readonly thread: CodecThread,
  ) {}

  private async read(format: BodyFormat, body: Buffer, length?: string): Promise<ReadOutcome> {
    const own = await joined([body]);
    const model = this.settings.model.name;
    const memory = [own.buffer as ArrayBuffer];
    return this.thread.run({ op: 'read', format, model, body: own, length }, memory);
  }

  private async write(
    task: Pick<WriteTask, 'format' | 'kind' | 'infer' | 'usage' | 'refused'>,
    outputs: readonly Tensors[],
    inputs: readonly Tensors[] = [],
  ): Promise<{ readonly body: Buffer; readonly headerLength?: number }> {
    const sent: WriteTask = {
      op: 'write',
      model: this.settings.model.name,
      ...task,
      outputs: await packTensors(outputs),
      inputs: await packTensors(inputs, 'shapes'),
    };
    const memory = [...memoryOf(sent.outputs), ...memoryOf(sent.inputs as ReadOutcome['items'])];
    const { body, ...more } = await this.thread.run(sent, memory);
    return { body: Buffer.from(body.buffer, body.byteOffset, body.length), ...more };
  }

  private isLargeInfer(body: Buffer, length: string | undefined): boolean {
    if (length === undefined) return isLarge(body);
    // Each string has its length at least.
    if (hasStrings(this.settings.model.inputs)) return body.length > LARGE_ELEMENTS * LENGTH_BYTES;
    if (body.length <= LARGE_BYTES) return false;
    try {
      return isLarge(body.subarray(0, headLength(length, body)));
    } catch {
      // A wrong header is refused at once.
      return false;
    }
  }

  async readInfer(body: Buffer, length: string | undefined): Promise<InferCall> {
    if (!this.isLargeInfer(body, length)) return parseInfer(this.settings.model, body, length);
    const { items, infer } = await this.read('v2', body, length);
    const [inputs = {}] = await unpackTensors(items);
    return { ...(infer as Omit<InferCall, 'inputs'>), inputs };
  }

  async readPredict(body: Buffer): Promise<PredictCall> {
    if (!isLarge(body)) return parsePredict(this.settings, body);
    const { kind, items } = await this.read('v1', body);
    const own = await unpackTensors(items);
    return kind === 'rows' ? { kind, items: own } : { kind, inputs: own[0] ?? {} };
  }

  async readInference(body: Buffer): Promise<Tensors> {
    if (!isLarge(body)) return parseInference(this.settings, body);
    const { items } = await this.read('native', body);
    return (await unpackTensors(items))[0] ?? {};
  }

  async readBatch(body: Buffer): Promise<readonly (Tensors | ServeError)[]> {
    if (!isLarge(body)) return parseBatch(this.settings, body);
    const { items, refused } = await this.read('batch', body);
    return withRefused(await unpackTensors(items), refused);
  }

  async writeInfer(wanted: InferCall, outputs: Tensors): Promise<InferAnswer> {
    const { model } = this.settings;
    const texts = new Set(wanted.outputs.filter(({ binary }) => !binary).map(({ name }) => name));
    if (elementsIn([outputs], (name) => texts.has(name)) <= LARGE_ELEMENTS) {
      return inferAnswer(model, wanted, outputs);
    }
    const infer = { id: wanted.id, outputs: wanted.outputs };
    const written = await this.write({ format: 'v2', kind: 'columns', infer }, [outputs]);
    const { body, headerLength } = written;
    return headerLength === undefined
      ? { kind: 'json', body }
      : { kind: 'binary', body, headerLength };
  }

  async writeColumns(outputs: Tensors): Promise<string | Buffer> {
    const isSmall = elementsIn([outputs], all) <= LARGE_ELEMENTS;
    if (isSmall) return columnsText(this.settings.model, outputs);
    return (await this.write({ format: 'v1', kind: 'columns' }, [outputs])).body;
  }

  async writeRows(rows: readonly Tensors[]): Promise<string | Buffer> {
    if (elementsIn(rows, all) <= LARGE_ELEMENTS) return predictionsText(this.settings.model, rows);
    return (await this.write({ format: 'v1', kind: 'rows' }, rows)).body;
  }

  async writeInference(
    { inputs, outputs }: NativeResult,
    usage: ResourceUsage,
  ): Promise<string | Buffer> {
    const { model } = this.settings;
    const isSmall = elementsIn([outputs], all) <= LARGE_ELEMENTS;
    if (isSmall) return inferenceText(model, { inputs, outputs }, usage);
    return (await this.write({ format: 'native', kind: 'columns', usage }, [outputs], [inputs]))
      .body;
  }

  async writeBatch(answers: readonly (NativeResult | ServeError)[]): Promise<string | Buffer> {
    const good = answers.filter((one): one is NativeResult => !(one instanceof ServeError));
    const outputs = good.map((one) => one.outputs);
    if (answers.length + elementsIn(outputs, all) <= LARGE_ELEMENTS) {
      return batchText(this.settings.model, answers);
    }
    const refused = [...answers.entries()].flatMap(([index, one]) =>
      one instanceof ServeError ? [[index, sentError(one)] as const] : [],
    );
    const inputs = good.map((one) => one.inputs);
    return (await this.write({ format: 'batch', kind: 'rows', refused }, outputs, inputs)).body;
  }
}
