import { Refusal } from './refusal';
import { numberOf, writeStrict } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeItem } from './native-format';

// An OpenAI caller and a server that speaks native.

/** The field of each call that is the model's input. */
const INPUT_OF = {
  'chat/completions': 'messages',
  completions: 'prompt',
  embeddings: 'input',
} as const;

export type OpenaiCallName = keyof typeof INPUT_OF;

export const isTranscodableOpenai = (call: string): call is OpenaiCallName =>
  Object.hasOwn(INPUT_OF, call);

/** Metadata of a completion. */
export interface CompletionInfo {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
}

export interface OpenaiRequest {
  readonly call: OpenaiCallName;
  readonly item: NativeItem;
  readonly stream: boolean;
  /** A stream ends with what it cost. */
  readonly includeUsage: boolean;
  /** Of embeddings: floats in base64 instead of a list. */
  readonly base64: boolean;
}

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);
const shown = (value: unknown): string => writeStrict(value).slice(0, 60);

function flag(name: string, value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === 'boolean') return value;
  throw bad(`${name}: got ${shown(value)}, must be true or false`);
}

function checkChoices(n: unknown): void {
  if (n === undefined || n === null || numberOf(n) === 1) return;
  throw bad(`n: got ${shown(n)}, must be 1: the model speaks native, which has one answer`);
}

function encodingOf(format: unknown): boolean {
  if (format === undefined || format === null || format === 'float') return false;
  if (format === 'base64') return true;
  throw bad(`encoding_format: got ${shown(format)}, must be float or base64`);
}

/** @throws Refusal when native cannot express it */
export function parseOpenai(call: OpenaiCallName, body: JsonObject): OpenaiRequest {
  const field = INPUT_OF[call];
  const { model: _, stream, stream_options: options, n, [field]: input, ...rest } = body;
  if (input === undefined || input === null) throw bad(`${field}: is missing`);
  checkChoices(n);
  const { encoding_format: format, ...others } = rest;
  const parameters = call === 'embeddings' ? others : rest;
  return {
    call,
    item: {
      input_data: { [field]: input },
      ...(Object.keys(parameters).length > 0 && { parameters }),
    },
    stream: call !== 'embeddings' && flag('stream', stream),
    includeUsage: isJsonObject(options) && flag('include_usage', options['include_usage']),
    base64: call === 'embeddings' && encodingOf(format),
  };
}

function missingOutput(model: string, what: string): Refusal {
  return new Refusal(
    'UPSTREAM_PROTOCOL_ERROR',
    `the answer of model ${model} has no ${what}; call POST /api/v1/models/${model}/inference to see the whole answer`,
  );
}

/** The text of a result: `content`, `text`, or all of it. */
interface Completion {
  readonly text: string | null;
  readonly toolCalls: readonly unknown[] | undefined;
  readonly reason: string;
  readonly usage: JsonObject | undefined;
}

function completionOf(result: unknown, model: string): Completion {
  const fields = isJsonObject(result) ? result : {};
  const { content, text, tool_calls: tools, finish_reason: reason, usage } = fields;
  const words = typeof result === 'string' ? result : (content ?? text);
  const toolCalls = Array.isArray(tools) && tools.length > 0 ? tools : undefined;
  if (typeof words !== 'string' && toolCalls === undefined) {
    throw missingOutput(model, 'text (content, text, or a result that is text)');
  }
  return {
    text: typeof words === 'string' ? words : null,
    toolCalls,
    reason: typeof reason === 'string' ? reason : toolCalls ? 'tool_calls' : 'stop',
    usage: isJsonObject(usage) ? usage : undefined,
  };
}

function completionBody(
  call: OpenaiCallName,
  completion: Completion,
  { id, created, model }: CompletionInfo,
): JsonObject {
  const { text, toolCalls, reason, usage } = completion;
  const isChat = call === 'chat/completions';
  const words = isChat
    ? { message: { role: 'assistant', content: text, ...(toolCalls && { tool_calls: toolCalls }) } }
    : { text: text ?? '' };
  return {
    id: `${isChat ? 'chatcmpl' : 'cmpl'}-${id}`,
    object: isChat ? 'chat.completion' : 'text_completion',
    created,
    model,
    choices: [{ index: 0, ...words, logprobs: null, finish_reason: reason }],
    ...(usage && { usage }),
  };
}

/** Deltas of tool calls are distinguished by their index. */
const indexed = (tools: readonly unknown[]): readonly unknown[] =>
  tools.map((one, index) => (isJsonObject(one) ? { index, ...one } : one));

/** The choice of each chunk: role, the whole text, the finish reason. */
function partsOf(
  call: OpenaiCallName,
  { text, toolCalls, reason }: Completion,
): readonly JsonObject[] {
  if (call !== 'chat/completions') {
    return [
      { text: text ?? '', finish_reason: null },
      { text: '', finish_reason: reason },
    ];
  }
  const words = {
    ...(text !== null && { content: text }),
    ...(toolCalls && { tool_calls: indexed(toolCalls) }),
  };
  return [
    { delta: { role: 'assistant', content: '' }, finish_reason: null },
    { delta: words, finish_reason: null },
    { delta: {}, finish_reason: reason },
  ];
}

function events(
  request: OpenaiRequest,
  completion: Completion,
  { id, created, model }: CompletionInfo,
): string {
  const { call, includeUsage } = request;
  const isChat = call === 'chat/completions';
  const head = {
    id: `${isChat ? 'chatcmpl' : 'cmpl'}-${id}`,
    object: isChat ? 'chat.completion.chunk' : 'text_completion',
    created,
    model,
  };
  const chunks: JsonObject[] = partsOf(call, completion).map((part) => ({
    ...head,
    choices: [{ index: 0, ...part, logprobs: null }],
  }));
  if (includeUsage && completion.usage)
    chunks.push({ ...head, choices: [], usage: completion.usage });
  return [...chunks.map((chunk) => writeStrict(chunk)), '[DONE]']
    .map((data) => `data: ${data}\n\n`)
    .join('');
}

const isVector = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => Number.isFinite(numberOf(one)));

function vectorsOf(result: unknown): readonly (readonly unknown[])[] | undefined {
  const { embedding, embeddings = embedding } = isJsonObject(result)
    ? result
    : { embedding: result };
  if (isVector(embeddings)) return [embeddings];
  return Array.isArray(embeddings) && embeddings.length > 0 && embeddings.every(isVector)
    ? embeddings
    : undefined;
}

/** Base64 of 32-bit floats, little-endian, the default of OpenAI's clients. */
function base64Of(vector: readonly unknown[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((one, at) => bytes.writeFloatLE(numberOf(one) ?? 0, at * 4));
  return bytes.toString('base64');
}

function embeddingList(result: unknown, { base64 }: OpenaiRequest, model: string): JsonObject {
  const vectors = vectorsOf(result);
  if (vectors === undefined) {
    throw missingOutput(model, 'embedding (embedding, embeddings, or a result that is a list)');
  }
  const { usage } = isJsonObject(result) ? result : {};
  const data = vectors.map((vector, index) => {
    const embedding = base64 ? base64Of(vector) : vector;
    return { object: 'embedding', index, embedding };
  });
  return { object: 'list', data, model, ...(isJsonObject(usage) && { usage }) };
}

/**
 * The body of the answer: JSON, or an event stream with the whole text in one chunk.
 * @throws Refusal when OpenAI cannot express the result
 */
export function nativeToOpenaiAnswer(
  result: unknown,
  request: OpenaiRequest,
  completionInfo: CompletionInfo,
): string {
  const { call, stream } = request;
  const { model } = completionInfo;
  if (call === 'embeddings') return writeStrict(embeddingList(result, request, model));
  const completion = completionOf(result, model);
  return stream
    ? events(request, completion, completionInfo)
    : writeStrict(completionBody(call, completion, completionInfo));
}
