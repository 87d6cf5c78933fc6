import type { Reservation } from '../../shared/held-bytes';
import type { Priority } from '../../core/routing/outcome';
import { Refusal } from '../transcode/refusal';
import { writeStrict } from '../transcode/exact-json';
import { bounded } from '../transcode/body-json';
import type { NativeItem } from '../transcode/native-format';
import { SplicedCall } from '../transcode/copied-text';
import type {
  CheckedCall,
  LargeOutcomes,
  LargeRequest,
  LargeTask,
  LargeOutput,
  SerializedRefusal,
  LargeSource,
  EncodeTarget,
} from '../transcode/large-task';
import type { LargeThread } from '../thread/large-thread';

// Large bodies and responses: they are parsed and transcoded in the worker thread.

let ids = 0;

type SourceTask = Extract<LargeTask, { readonly source: LargeSource }>;

export const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

export const deserializeRefusal = ({ code, message, more }: SerializedRefusal): Refusal =>
  new Refusal(code, message, more);

/** A request that the worker thread parses. The body is sent again if the thread evicted it. */
export class LargeCall {
  private readonly source: LargeSource;
  private isSent = false;

  constructor(
    private readonly thread: LargeThread,
    source: Omit<LargeSource, 'id'>,
    readonly body: Buffer,
  ) {
    ids += 1;
    this.source = { ...source, id: ids };
  }

  private async run<T extends SourceTask>(
    task: T,
  ): Promise<Exclude<LargeOutcomes[T['op']], 'missing'>> {
    const first = this.isSent ? task : { ...task, body: this.body };
    this.isSent = true;
    const done = await this.thread.run(first);
    const again = done === 'missing' ? await this.thread.run({ ...task, body: this.body }) : done;
    return again as Exclude<LargeOutcomes[T['op']], 'missing'>;
  }

  /** @throws Refusal when the body is invalid in its protocol */
  check(): Promise<CheckedCall> {
    return this.run({ op: 'check', source: this.source });
  }

  /** @throws Refusal when the server's protocol cannot express it, MemoryFull */
  async encode(
    to: EncodeTarget,
    held: Reservation | undefined,
  ): Promise<Omit<LargeRequest, 'body'> & Body> {
    const { target, body } = await this.run({
      op: 'encode',
      source: this.source,
      to: withoutReplicas(to),
    });
    held?.take(body.length);
    return { target, body: bufferOf(body) };
  }

  /**
   * The response in the caller's protocol; undefined when it is invalid in the server's protocol.
   * @throws Refusal, MemoryFull
   */
  async read(
    to: EncodeTarget,
    answer: Buffer,
    version: string,
    held: Reservation | undefined,
  ): Promise<LargeOutput | undefined> {
    const { source } = this;
    const output = await this.run({ op: 'read', source, to: withoutReplicas(to), answer, version });
    if (output !== undefined) held?.take(output.bytes.length);
    return output;
  }
}

interface Body {
  readonly body: Buffer;
}

/** Encoding does not need the replicas, and there may be many to copy. */
const withoutReplicas = (to: EncodeTarget): EncodeTarget => ({
  ...to,
  arm: { ...to.arm, replicas: [] },
});

/** A large native call. */
export class LargeItem {
  constructor(
    readonly call: LargeCall,
    readonly timeoutMs?: number,
    readonly priority?: Priority,
  ) {}
}

/** The JSON of an item. @throws Refusal when it is nested too deeply to be written */
export function itemBytes(item: NativeItem | LargeItem): Buffer {
  if (item instanceof LargeItem) return item.call.body;
  if (item instanceof SplicedCall) return Buffer.from(item.text);
  const { input_data, parameters } = item;
  return Buffer.from(bounded(() => writeStrict({ input_data, ...(parameters && { parameters }) })));
}

/** A native call for the worker thread. */
export function largeNative(
  thread: LargeThread,
  calledModel: LargeSource['calledModel'],
  body: Buffer,
): LargeCall {
  return new LargeCall(thread, { kind: 'native', calledModel }, body);
}

/** @throws Refusal */
export async function checkLargeItem(call: LargeCall): Promise<LargeItem> {
  const { timeoutMs, priority } = await call.check();
  return new LargeItem(call, timeoutMs, priority);
}
