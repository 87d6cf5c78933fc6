import type { Priority } from '../../core/routing/outcome';
import type { ArmRoute } from '../../core/routing/table';
import { Refusal } from './refusal';
import { encodeOpenai, encodeNative } from './index';
import type { EncodedNativeCall } from './index';
import { readJson, readLoose, writeStrict } from './exact-json';
import { bodyText, bounded, isJsonObject, parseObject, parseText } from './body-json';
import type { NativeCall, NativeOutput } from './native-format';
import { parseBatch, parseCall, parseItem, readItem } from './native-format';
import type { OpenaiCallName, CompletionInfo } from './openai-to-native';
import { parseOpenai } from './openai-to-native';
import { RawJson, splicedCall } from './copied-text';
import type { CalledModel, EncodedRequest, Transcoder } from './transcoder';
import { openaiTranscoder, v1Transcoder, v2Transcoder } from './transcoder';
import type { JsonLimits } from '../../shared/json-survey';
import { JSON_LIMITS, JsonTooComplex, survey, textsNamed } from '../../shared/json-survey';
import { parseV1 } from './v1-request';
import type { ModelInputs } from './v2';
import { parseV2 } from './v2-request';

// Tasks on large bodies and responses, as messages that can be posted to the worker thread. A task
// may take long, but requests with small bodies never wait for it.

/** A request without its body. */
export interface LargeSource {
  /** Key of the request's parsed body in the worker's cache. */
  readonly id: number;
  readonly kind: 'native' | 'v1' | 'v2' | 'openai';
  readonly calledModel: CalledModel;
  /** V2 only: bytes of JSON before the binary tensors. */
  readonly jsonLength?: string | undefined;
  /** OpenAI only. */
  readonly call?: OpenaiCallName | undefined;
  readonly completion?: CompletionInfo | undefined;
}

/** The arm a request is encoded for. */
export interface EncodeTarget {
  readonly arm: ArmRoute;
  readonly modelInputs: ModelInputs | undefined;
  /** The response is to be an event stream. */
  readonly isStream?: boolean | undefined;
}

export type LargeTask =
  | { readonly op: 'model_names'; readonly body: Uint8Array }
  | { readonly op: 'batch'; readonly body: Uint8Array; readonly maxItems: number }
  | { readonly op: 'results'; readonly answer: Uint8Array; readonly count: number }
  | { readonly op: 'check'; readonly source: LargeSource; readonly body?: Uint8Array | undefined }
  | {
      readonly op: 'encode';
      readonly source: LargeSource;
      readonly body?: Uint8Array | undefined;
      readonly to: EncodeTarget;
    }
  | {
      readonly op: 'read';
      readonly source: LargeSource;
      readonly body?: Uint8Array | undefined;
      readonly to: EncodeTarget;
      readonly answer: Uint8Array;
      readonly version: string;
    };

/** A `Refusal` as a message between threads. */
export interface SerializedRefusal {
  readonly code: Refusal['code'];
  readonly message: string;
  readonly more: Refusal['more'];
}

/** Properties of a parsed call. */
export interface CheckedCall {
  readonly items: number;
  readonly type: Transcoder['type'];
  readonly timeoutMs: number | undefined;
  readonly priority: Priority | undefined;
}

export interface LargeRequest {
  readonly target: string;
  readonly body: Uint8Array;
}

export interface LargeOutput {
  readonly bytes: Uint8Array;
  /** The confidence of a native answer, as JSON. */
  readonly confidence: Uint8Array;
}

export interface LargeBatch {
  /** The JSON of each item, or its error. */
  readonly items: readonly (Uint8Array | SerializedRefusal)[];
  readonly timeoutMs: number | undefined;
}

export type LargeResult = LargeOutput | SerializedRefusal | null;

/** Results by task. `missing`: the body was evicted and has to be sent again. */
export interface LargeOutcomes {
  readonly model_names: readonly unknown[] | undefined;
  readonly batch: LargeBatch;
  readonly results: readonly LargeResult[] | undefined;
  readonly check: CheckedCall | 'missing';
  readonly encode: LargeRequest | 'missing';
  readonly read: LargeOutput | undefined | 'missing';
}

export const serializeRefusal = ({ code, message, more }: Refusal): SerializedRefusal => ({
  code,
  message,
  more,
});

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** Without a depth limit for the whole batch: an item that is nested too deeply fails alone. */
const BATCH_LIMITS: JsonLimits = { ...JSON_LIMITS, depth: JSON_LIMITS.containers };

/** @throws Refusal when the body exceeds the limits of JSON */
function surveyed(body: Buffer, jsonBytes = body.length, limits = JSON_LIMITS): Buffer {
  try {
    survey(body.subarray(0, jsonBytes), limits);
    return body;
  } catch (error) {
    if (!(error instanceof JsonTooComplex)) throw error;
    const code = error.what === 'depth' ? 'INVALID_REQUEST' : 'PAYLOAD_TOO_LARGE';
    throw new Refusal(code, `the body ${error.message}`);
  }
}

interface ParsedCall {
  readonly bytes: number;
  readonly native?: NativeCall;
  readonly transcoder?: Transcoder;
  /** The decoder of the response of the arm the call was last encoded for. */
  encoded?: {
    readonly arm: string;
    readonly read: (answer: Buffer, version: string) => LargeOutput | undefined;
  };
}

/** Bytes of bodies whose parsed values are kept for the response; values take ten times that. */
const MAX_KEPT_BYTES = 12 * 1024 * 1024;

function nativeOutput(output: NativeOutput | undefined): LargeOutput | undefined {
  if (output === undefined) return undefined;
  const { output: value, confidence } = output;
  const text = value instanceof RawJson ? value.text : writeStrict(value);
  return { bytes: bytesOf(text), confidence: bytesOf(writeStrict(confidence)) };
}

const textOutput = (text: string | undefined): LargeOutput | undefined =>
  text === undefined ? undefined : { bytes: bytesOf(text), confidence: bytesOf('null') };

/** @throws Refusal when the body is invalid in its protocol, or cannot be transcoded */
export function readTranscoder(source: Omit<LargeSource, 'id'>, body: Buffer): Transcoder {
  const { kind, calledModel, jsonLength, call, completion } = source;
  return bounded(() => {
    if (kind === 'v1') return v1Transcoder(calledModel, parseV1(parseObject(body)));
    if (kind === 'v2') return v2Transcoder(calledModel, parseV2(body, jsonLength));
    if (call === undefined || completion === undefined)
      throw new Error('an OpenAI call has a name');
    const read = parseOpenai(call, parseText(bodyText(body), readJson));
    return openaiTranscoder(calledModel, read, completion);
  });
}

function parse(source: LargeSource, body: Buffer): Omit<ParsedCall, 'bytes'> {
  const { kind, jsonLength } = source;
  if (kind !== 'native') {
    surveyed(body, jsonLength === undefined ? undefined : Number(jsonLength));
    return { transcoder: readTranscoder(source, body) };
  }
  const text = bodyText(body);
  const simple = splicedCall(text);
  if (simple !== undefined) return { native: simple };
  surveyed(body);
  return { native: parseCall(parseText(text)) };
}

/** Is the response within the limits of JSON? */
function isModestAnswer(answer: Buffer): boolean {
  try {
    survey(answer);
    return true;
  } catch (error) {
    if (error instanceof JsonTooComplex) return false;
    throw error;
  }
}

/** Runs tasks, and keeps parsed bodies for later tasks of the same request. */
export class LargeTaskRunner {
  private readonly kept = new Map<number, ParsedCall>();
  private keptBytes = 0;

  /** @throws Refusal */
  perform(task: LargeTask): LargeOutcomes[LargeTask['op']] {
    switch (task.op) {
      case 'model_names':
        return textsNamed(bufferOf(task.body), 'model');
      case 'batch':
        return batchOf(bufferOf(task.body), task.maxItems);
      case 'results':
        return resultsOf(bufferOf(task.answer), task.count);
      default:
        return this.ofSource(task);
    }
  }

  private ofSource(task: Extract<LargeTask, { source: LargeSource }>) {
    const call = this.callOf(task.source, task.body);
    if (call === undefined) return 'missing';
    if (task.op === 'check') return checkedOf(call);
    if (task.op === 'encode') return encode(call, task.source, task.to);
    if (call.encoded?.arm !== task.to.arm.name) encode(call, task.source, task.to);
    const output = call.encoded?.read(bufferOf(task.answer), task.version);
    this.forget(task.source.id);
    return output;
  }

  private callOf(source: LargeSource, body: Uint8Array | undefined): ParsedCall | undefined {
    const before = this.kept.get(source.id);
    if (before !== undefined || body === undefined) return before;
    const call = { bytes: body.length, ...parse(source, bufferOf(body)) };
    this.kept.set(source.id, call);
    this.keptBytes += call.bytes;
    for (const id of this.kept.keys()) {
      if (this.keptBytes <= MAX_KEPT_BYTES || id === source.id) break;
      this.forget(id);
    }
    return call;
  }

  private forget(id: number): void {
    this.keptBytes -= this.kept.get(id)?.bytes ?? 0;
    this.kept.delete(id);
  }
}

function checkedOf({ native, transcoder }: ParsedCall): CheckedCall {
  return {
    items: transcoder?.items ?? 1,
    type: transcoder?.type ?? 'application/json',
    timeoutMs: native?.timeoutMs,
    priority: native?.priority,
  };
}

/** @throws Refusal when the server's protocol cannot express it */
function encode(
  call: ParsedCall,
  { calledModel }: LargeSource,
  { arm, modelInputs, isStream }: EncodeTarget,
): LargeRequest {
  const { native, transcoder } = call;
  if (native !== undefined) {
    const { target, body, splice, read }: EncodedNativeCall = bounded(() =>
      isStream === true
        ? encodeOpenai(calledModel.id, native, true)
        : encodeNative(arm, calledModel.id, native, modelInputs),
    );
    const readAnswer = (answer: Buffer): LargeOutput | undefined => {
      const text = answer.toString('utf8');
      return nativeOutput(splice(text) ?? (isModestAnswer(answer) ? read(text) : undefined));
    };
    call.encoded = { arm: arm.name, read: readAnswer };
    return { target, body: bytesOf(body) };
  }
  const { target, body, read }: EncodedRequest = bounded(() =>
    (transcoder as Transcoder).encode(arm, modelInputs),
  );
  const output = (answer: Buffer, version: string): LargeOutput | undefined =>
    isModestAnswer(answer)
      ? textOutput(readable(() => read(answer.toString('utf8'), version)))
      : undefined;
  call.encoded = { arm: arm.name, read: output };
  return { target, body: bytesOf(body) };
}

/** Undefined for a response that is nested too deeply for the stack. */
export function readable<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function batchOf(body: Buffer, maxItems: number): LargeBatch {
  const { requests, timeoutMs } = parseBatch(
    parseObject(surveyed(body, body.length, BATCH_LIMITS)),
    maxItems,
  );
  const items = requests.map((value) => {
    const item = parseItem(value);
    if (item instanceof Refusal) return serializeRefusal(item);
    try {
      return bytesOf(bounded(() => writeStrict(item)));
    } catch (error) {
      if (error instanceof Refusal) return serializeRefusal(error);
      throw error;
    }
  });
  return { items, timeoutMs };
}

function resultOf(value: unknown): LargeResult {
  const output = readItem(value);
  if (output instanceof Refusal) return serializeRefusal(output);
  return nativeOutput(output) ?? null;
}

function resultsOf(answer: Buffer, count: number): readonly LargeResult[] | undefined {
  try {
    survey(answer);
    const value = readLoose(answer.toString('utf8'));
    const results = isJsonObject(value) ? value['results'] : undefined;
    if (!Array.isArray(results) || results.length !== count) return undefined;
    return results.map(resultOf);
  } catch {
    return undefined;
  }
}
