import { Refusal } from './refusal';
import { numberOf } from './exact-json';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeItem, NativeOutput } from './native-format';

// A native caller and an OpenAI server.

/** The OpenAI call is chosen by the field in `input_data`. */
const CALLS = {
  messages: 'chat/completions',
  prompt: 'completions',
  input: 'embeddings',
} as const;

type Input = keyof typeof CALLS;

const INPUTS = Object.keys(CALLS) as readonly Input[];
/** Set by the router from the request; parameters must not override them. */
const OWN = new Set(['model', 'stream', ...INPUTS]);

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);

function inputOf(given: JsonObject, model: string): Input {
  const names = Object.keys(given);
  const name = INPUTS.find((one) => names.length === 1 && names[0] === one);
  if (name !== undefined) return name;
  const got = names.length === 0 ? 'nothing' : names.join(', ');
  throw bad(
    `input_data: got ${got}, must be exactly one of messages (chat), prompt (completion) and input (embedding): model ${model} speaks openai; the rest belongs to parameters`,
  );
}

function checkParameters(parameters: JsonObject): void {
  const own = Object.keys(parameters).find((name) => OWN.has(name));
  if (own === undefined) return;
  const instead =
    own === 'stream' ? 'ask for a stream by Accept: text/event-stream' : 'leave it out';
  throw bad(`parameters.${own}: is set by the request itself; ${instead}`);
}

export interface OpenaiCall {
  readonly target: string;
  readonly body: JsonObject;
  readonly input: Input;
}

/** @throws Refusal when it is not an OpenAI call, or one that cannot stream */
export function nativeToOpenai(item: NativeItem, model: string, stream: boolean): OpenaiCall {
  const { input_data: given, parameters = {} } = item;
  const input = inputOf(given, model);
  checkParameters(parameters);
  if (stream && input === 'input') {
    throw bad(
      'input_data.input: embeddings cannot be streamed; leave Accept: text/event-stream out',
    );
  }
  const body = { ...parameters, model, [input]: given[input], ...(stream && { stream }) };
  return { target: `/v1/${CALLS[input]}`, body, input };
}

/** Many servers write every field they know; empty ones are left out. */
const isPresent = ([, value]: readonly [string, unknown]): boolean =>
  value !== null && !(Array.isArray(value) && value.length === 0);

const present = (value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(isPresent));

/** A choice with its text in `content` (chat) or `text`. */
function choiceOf(choice: unknown): JsonObject | undefined {
  if (!isJsonObject(choice)) return undefined;
  const { message, text, finish_reason: reason = null, logprobs = null } = choice;
  const more = { finish_reason: reason, ...(logprobs !== null && { logprobs }) };
  if (isJsonObject(message)) {
    const { content = null, ...rest } = message;
    return { content, ...present(rest), ...more };
  }
  return typeof text === 'string' ? { text, ...more } : undefined;
}

function textOf({ choices, usage }: JsonObject): JsonObject | undefined {
  if (!Array.isArray(choices)) return undefined;
  const all = choices.map(choiceOf).filter((one) => one !== undefined);
  const [first] = all;
  if (first === undefined || all.length !== choices.length) return undefined;
  // Several results, by `n` or by a list of prompts.
  const output = all.length === 1 ? first : { choices: all };
  return { ...output, ...(isJsonObject(usage) && { usage }) };
}

/** Several inputs are a list of texts, or of lists of tokens. */
const isList = (input: unknown): boolean =>
  Array.isArray(input) && numberOf(input[0]) === undefined;

function embeddingsOf({ data, usage }: JsonObject, input: unknown): JsonObject | undefined {
  if (!Array.isArray(data) || !data.every(isJsonObject)) return undefined;
  const indexOf = ({ index }: JsonObject): number => numberOf(index) ?? 0;
  const all = data
    .toSorted((one, other) => indexOf(one) - indexOf(other))
    .map(({ embedding }) => embedding);
  if (all.length === 0 || all.includes(undefined)) return undefined;
  const output = isList(input) ? { embeddings: all } : { embedding: all[0] };
  return { ...output, ...(isJsonObject(usage) && { usage }) };
}

/** Undefined: the answer is not valid OpenAI. */
export function openaiToNative(answer: unknown, call: OpenaiCall): NativeOutput | undefined {
  if (!isJsonObject(answer)) return undefined;
  const { input, body } = call;
  const output = input === 'input' ? embeddingsOf(answer, body[input]) : textOf(answer);
  return output && { output, confidence: null };
}
