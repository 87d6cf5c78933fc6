import type { ArmRoute } from '../../core/routing/table';
import { Refusal } from './refusal';
import { readLoose, writeJson, writeStrict } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeItem } from './native-format';
import { readItem, readResult } from './native-format';
import { nativeToOpenaiAnswer } from './openai-to-native';
import type { OpenaiRequest, CompletionInfo } from './openai-to-native';
import { itemsToV1, rowsIn, v1ToItems, v2ToItems } from './rows-to-native';
import { outputValue } from './copied-text';
import { nativeTarget } from './native-target';
import type { V1Request } from './v1-request';
import { v1ToV2, v2ToV1 } from './v1-to-v2';
import type { ModelInputs } from './v2';
import { v2Answer } from './v2-answer';
import type { V2Request } from './v2-request';
import { v1ToV2Answer, v2ToV1Call } from './v2-to-v1';

// V1, V2 and OpenAI calls transcoded for the server that gets them.

/** A request encoded for one server, with the decoder of its response. */
export interface EncodedRequest {
  readonly target: string;
  readonly body: string;
  /**
   * The body for the caller; undefined when the response is invalid in the server's protocol.
   * @throws Refusal when the caller's protocol cannot express it
   */
  readonly read: (text: string, version: string) => string | undefined;
}

/** A parsed call that can be encoded for several protocols. */
export interface Transcoder {
  /** Rows in it. */
  readonly items: number;
  /** Content-Type of the answer. */
  readonly type: 'application/json' | 'text/event-stream';
  /** @throws Refusal when the server's protocol cannot express it */
  readonly encode: (arm: ArmRoute, metadata: ModelInputs | undefined) => EncodedRequest;
}

/** The model that is called. */
export interface CalledModel {
  readonly id: string;
  /** Items that a native batch may have. */
  readonly maxBatchSize: number;
}

function answerOf(text: string): unknown {
  try {
    return readLoose(text);
  } catch {
    return undefined;
  }
}

type WriteResults = (results: readonly unknown[], version: string) => JsonObject | string;

const bodyOf = (answer: JsonObject | string): string =>
  typeof answer === 'string' ? answer : writeJson(answer);

/** Results of a batch. @throws Refusal when an item failed: rows have no partial failure */
function resultsOf(answer: unknown, count: number): readonly unknown[] | undefined {
  const results = isJsonObject(answer) ? answer['results'] : undefined;
  if (!Array.isArray(results) || results.length !== count) return undefined;
  const outputs = results.map(readItem);
  const failed = outputs.findIndex((one) => one instanceof Refusal);
  const refusal = outputs[failed];
  if (refusal instanceof Refusal) {
    throw new Refusal(refusal.code, `row ${failed}: ${refusal.message}`);
  }
  const read = outputs.flatMap((one) => (one === undefined || one instanceof Refusal ? [] : one));
  return read.length === count ? read.map(({ output }) => output) : undefined;
}

/** Checked before rows are created: a binary tensor may have millions. @throws Refusal */
function checkRows(count: number, { maxBatchSize }: CalledModel): void {
  if (count <= maxBatchSize) return;
  throw new Refusal(
    'PAYLOAD_TOO_LARGE',
    `got ${count} rows, at most ${maxBatchSize} are allowed (inference.max_batch_size); send several calls`,
  );
}

/** One item is an inference, several are a batch. */
function toNative(
  arm: ArmRoute,
  { id }: CalledModel,
  items: readonly NativeItem[],
  writeResults: WriteResults,
): EncodedRequest {
  const [only] = items;
  if (items.length === 1) {
    const read: EncodedRequest['read'] = (text, version) => {
      const result = readResult(answerOf(text));
      return result && bodyOf(writeResults([outputValue(result.output)], version));
    };
    return { target: nativeTarget(arm, id, 'inference') ?? '', body: writeStrict(only), read };
  }
  const read: EncodedRequest['read'] = (text, version) => {
    const results = resultsOf(answerOf(text), items.length);
    return results && bodyOf(writeResults(results, version));
  };
  const body = writeStrict({ requests: items });
  return { target: nativeTarget(arm, id, 'batch_inference') ?? '', body, read };
}

/** The router checks `canTranscode` first, so this is an internal error. */
function unsupportedProtocol({ name, protocol }: ArmRoute): never {
  throw new Error(`arm ${name} speaks ${protocol}, which has no such call`);
}

export function v1Transcoder(calledModel: CalledModel, call: V1Request): Transcoder {
  const name = encodeURIComponent(calledModel.id);
  const encode: Transcoder['encode'] = (arm, metadata) => {
    if (arm.protocol === 'native') {
      checkRows(rowsIn(call), calledModel);
      return toNative(arm, calledModel, v1ToItems(call), (results) => itemsToV1(results, call));
    }
    if (arm.protocol !== 'v2') return unsupportedProtocol(arm);
    const body = writeJson({ inputs: v1ToV2(call, metadata) });
    const read: EncodedRequest['read'] = (text) => {
      const answer = v2ToV1(answerOf(text), call);
      return answer && writeJson(answer);
    };
    return { target: `/v2/models/${name}/infer`, body, read };
  };
  const items = call.kind === 'rows' ? call.rows.length : 1;
  return { items, type: 'application/json', encode };
}

export function v2Transcoder(calledModel: CalledModel, call: V2Request): Transcoder {
  const { id } = calledModel;
  const [first] = call.tensors;
  const items = Math.max(1, first?.shape[0] ?? 1);
  const encode: Transcoder['encode'] = (arm) => {
    const { protocol } = arm;
    if (protocol === 'native') {
      checkRows(items, calledModel);
      return toNative(arm, calledModel, v2ToItems(call), (results, version) =>
        v2Answer(call, results, id, version),
      );
    }
    if (protocol !== 'v1' && protocol !== 'tfs') return unsupportedProtocol(arm);
    const body = writeJson(v2ToV1Call(call, protocol === 'tfs'));
    const read: EncodedRequest['read'] = (text, version) => {
      const answer = v1ToV2Answer(answerOf(text), call, id, version);
      return answer && writeJson(answer);
    };
    return { target: `/v1/models/${encodeURIComponent(id)}:predict`, body, read };
  };
  return { items, type: 'application/json', encode };
}

export function openaiTranscoder(
  calledModel: CalledModel,
  request: OpenaiRequest,
  completion: CompletionInfo,
): Transcoder {
  const encode: Transcoder['encode'] = (arm) => {
    if (arm.protocol !== 'native') return unsupportedProtocol(arm);
    return toNative(arm, calledModel, [request.item], ([result]) =>
      nativeToOpenaiAnswer(result, request, completion),
    );
  };
  const type = request.stream ? 'text/event-stream' : 'application/json';
  return { items: 1, type, encode };
}
