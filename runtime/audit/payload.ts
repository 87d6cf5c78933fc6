import type { JsonPath } from '../../lib/config';
import { NotUtf8, textOf } from '../shared/utf8';
import type { Redactions } from './redact';
import { redactJson, redactionsOf } from './redact';

/** Why a body is not in the record. */
export type PayloadOmission =
  /** Not UTF-8, binary tensors, or gRPC. */
  | 'binary'
  | 'not_json'
  /** It has a content encoding. */
  | 'compressed'
  /** Server-sent events. */
  | 'stream'
  /** More than `max_bytes`, before or after its redaction. */
  | 'too_large'
  | 'too_deep'
  /** It broke off. */
  | 'incomplete'
  /** The text of an error may quote what is redacted. */
  | 'error'
  /** Too many requests are sampled at this moment. */
  | 'busy';

/** A body in full, or why it is not there. */
export type PayloadBody = { readonly bytes: Buffer } | { readonly omitted: PayloadOmission };

/** Either is undefined while, or because, there is none. */
export interface Payload {
  readonly request: PayloadBody | undefined;
  readonly answer: PayloadBody | undefined;
}

/** Decides which payloads are recorded, and writes them. */
export interface PayloadSampler {
  /** Of a body that is recorded. */
  readonly maxBytes: number;
  /** Are answers that are errors left out? */
  readonly omitsErrors: boolean;
  /** A request begins. `end` is to be called when it ends, unless it is not sampled. */
  readonly begin: () => 'sampled' | 'busy' | 'not_sampled';
  readonly end: () => void;
  /** JSON of a payload, redacted; undefined: that of this model is not recorded. */
  readonly write: (model: string | undefined, payload: Payload) => string | undefined;
}

export interface PayloadOptions {
  /** Above 0, at most 1. */
  readonly sampleRatio: number;
  /** Ids; `*`: all. */
  readonly models: readonly string[];
  readonly redact: readonly JsonPath[];
  readonly maxBytes: number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Two bodies each are in memory until the request is over. */
const MAX_SAMPLED_AT_ONCE = 128;

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

function textOrBinary(bytes: Buffer): string | undefined {
  try {
    return textOf(bytes);
  } catch (error) {
    if (error instanceof NotUtf8) return undefined;
    throw error;
  }
}

const omitted = (why: PayloadOmission): string => `{"omitted":"${why}"}`;

function written(body: PayloadBody, redactions: Redactions, maxBytes: number): string {
  if ('omitted' in body) return omitted(body.omitted);
  if (body.bytes.length > maxBytes) return omitted('too_large');
  const text = textOrBinary(body.bytes);
  if (text === undefined) return omitted('binary');
  if (!isJson(text)) return omitted('not_json');
  const redacted = redactJson(text, redactions);
  if (redacted === undefined) return omitted('too_deep');
  return redacted.length > maxBytes ? omitted('too_large') : `{"body":${redacted}}`;
}

/** Items of a batch fail with a text of their own, which may quote a value as well. */
const ERRORS: JsonPath = [{ name: 'error', isDeep: true }];

export function payloadSampler(options: PayloadOptions): PayloadSampler {
  const { sampleRatio, models, redact, maxBytes, random } = options;
  const ofRequest = redactionsOf(redact);
  const ofAnswer = redactionsOf(redact.length === 0 ? [] : [...redact, ERRORS]);
  const known = new Set(models);
  let running = 0;
  const part = (
    name: string,
    body: PayloadBody | undefined,
    redactions: Redactions,
  ): readonly string[] =>
    body === undefined ? [] : [`"${name}":${written(body, redactions, maxBytes)}`];
  return {
    maxBytes,
    omitsErrors: redact.length > 0,
    begin: () => {
      if (random() >= sampleRatio) return 'not_sampled';
      if (running >= MAX_SAMPLED_AT_ONCE) return 'busy';
      running += 1;
      return 'sampled';
    },
    end: () => {
      running -= 1;
    },
    write: (model, { request, answer }) => {
      // Without a model that exists the caller was not authorized, or its text is arbitrary.
      if (model === undefined || !(known.has('*') || known.has(model))) return undefined;
      const parts = [...part('request', request, ofRequest), ...part('answer', answer, ofAnswer)];
      return `{${parts.join(',')}}`;
    },
  };
}
