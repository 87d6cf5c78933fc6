import { headLength, LENGTH_BYTES } from '../../shared/binary';
import { joined } from '../../shared/join-buffers';
import { isLarge, LARGE_BYTES } from '../../shared/json-survey';
import { batchText, inferenceText } from '../native-answer';
import { parseBatch, parseInference } from '../native';
import { columnsText, parsePredict, predictionsText } from '../v1';
import { inferAnswer, parseInfer } from '../v2';
import { memoryOf, packed, unpacked } from './packed';
import { sentError, withRefused } from './understand';
import { ServeError } from '../errors';
import type { Answered, Usage } from '../native-answer';
import type { Manners } from '../native';
import type { Port, Tensors } from '../tensor';
import type { Predict } from '../v1';
import type { Infer, InferAnswer } from '../v2';
import type { Understander } from './understander';
import type { How, ReadOutcome, WriteTask } from './understand';

// Bodies and answers, each by what it is: what is small at once, what is large in the thread.

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
export class Words {
  constructor(
    private readonly manners: Manners,
    private readonly thread: Understander,
  ) {}

  private async read(how: How, body: Buffer, length?: string): Promise<ReadOutcome> {
    const own = await joined([body]);
    const model = this.manners.model.name;
    const memory = [own.buffer as ArrayBuffer];
    return this.thread.run({ op: 'read', how, model, body: own, length }, memory);
  }

  private async write(
    task: Pick<WriteTask, 'how' | 'kind' | 'asked' | 'usage' | 'refused'>,
    outputs: readonly Tensors[],
    inputs: readonly Tensors[] = [],
  ): Promise<{ readonly body: Buffer; readonly headerLength?: number }> {
    const sent: WriteTask = {
      op: 'write',
      model: this.manners.model.name,
      ...task,
      outputs: await packed(outputs),
      inputs: await packed(inputs, 'shapes'),
    };
    const memory = [...memoryOf(sent.outputs), ...memoryOf(sent.inputs as ReadOutcome['items'])];
    const { body, ...more } = await this.thread.run(sent, memory);
    return { body: Buffer.from(body.buffer, body.byteOffset, body.length), ...more };
  }

  private isLargeInfer(body: Buffer, length: string | undefined): boolean {
    if (length === undefined) return isLarge(body);
    // Each string has its length at least.
    if (hasStrings(this.manners.model.inputs)) return body.length > LARGE_ELEMENTS * LENGTH_BYTES;
    if (body.length <= LARGE_BYTES) return false;
    try {
      return isLarge(body.subarray(0, headLength(length, body)));
    } catch {
      // A wrong header is refused at once.
      return false;
    }
  }

  async readInfer(body: Buffer, length: string | undefined): Promise<Infer> {
    if (!this.isLargeInfer(body, length)) return parseInfer(this.manners.model, body, length);
    const { items, asked } = await this.read('v2', body, length);
    const [inputs = {}] = await unpacked(items);
    return { ...(asked as Omit<Infer, 'inputs'>), inputs };
  }

  async readPredict(body: Buffer): Promise<Predict> {
    if (!isLarge(body)) return parsePredict(this.manners, body);
    const { kind, items } = await this.read('v1', body);
    const own = await unpacked(items);
    return kind === 'rows' ? { kind, items: own } : { kind, inputs: own[0] ?? {} };
  }

  async readInference(body: Buffer): Promise<Tensors> {
    if (!isLarge(body)) return parseInference(this.manners, body);
    const { items } = await this.read('native', body);
    return (await unpacked(items))[0] ?? {};
  }

  async readBatch(body: Buffer): Promise<readonly (Tensors | ServeError)[]> {
    if (!isLarge(body)) return parseBatch(this.manners, body);
    const { items, refused } = await this.read('batch', body);
    return withRefused(await unpacked(items), refused);
  }

  async writeInfer(wanted: Infer, outputs: Tensors): Promise<InferAnswer> {
    const { model } = this.manners;
    const texts = new Set(wanted.outputs.filter(({ binary }) => !binary).map(({ name }) => name));
    if (elementsIn([outputs], (name) => texts.has(name)) <= LARGE_ELEMENTS) {
      return inferAnswer(model, wanted, outputs);
    }
    const asked = { id: wanted.id, outputs: wanted.outputs };
    const told = await this.write({ how: 'v2', kind: 'columns', asked }, [outputs]);
    const { body, headerLength } = told;
    return headerLength === undefined
      ? { kind: 'json', body }
      : { kind: 'binary', body, headerLength };
  }

  async writeColumns(outputs: Tensors): Promise<string | Buffer> {
    const isSmall = elementsIn([outputs], all) <= LARGE_ELEMENTS;
    if (isSmall) return columnsText(this.manners.model, outputs);
    return (await this.write({ how: 'v1', kind: 'columns' }, [outputs])).body;
  }

  async writeRows(rows: readonly Tensors[]): Promise<string | Buffer> {
    if (elementsIn(rows, all) <= LARGE_ELEMENTS) return predictionsText(this.manners.model, rows);
    return (await this.write({ how: 'v1', kind: 'rows' }, rows)).body;
  }

  async writeInference({ inputs, outputs }: Answered, usage: Usage): Promise<string | Buffer> {
    const { model } = this.manners;
    const isSmall = elementsIn([outputs], all) <= LARGE_ELEMENTS;
    if (isSmall) return inferenceText(model, { inputs, outputs }, usage);
    return (await this.write({ how: 'native', kind: 'columns', usage }, [outputs], [inputs])).body;
  }

  async writeBatch(answers: readonly (Answered | ServeError)[]): Promise<string | Buffer> {
    const good = answers.filter((one): one is Answered => !(one instanceof ServeError));
    const outputs = good.map((one) => one.outputs);
    if (answers.length + elementsIn(outputs, all) <= LARGE_ELEMENTS) {
      return batchText(this.manners.model, answers);
    }
    const refused = [...answers.entries()].flatMap(([index, one]) =>
      one instanceof ServeError ? [[index, sentError(one)] as const] : [],
    );
    const inputs = good.map((one) => one.inputs);
    return (await this.write({ how: 'batch', kind: 'rows', refused }, outputs, inputs)).body;
  }
}
