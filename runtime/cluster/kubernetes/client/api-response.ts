import type { IncomingMessage } from 'node:http';
import type { StatusCause } from './api-error';
import { KubeError, networkError } from './api-error';
import { isObject } from '../../../../lib/spec/entry';

/** More than a page of 500 objects of 1.5 MiB, the limit of etcd. */
const MAX_ANSWER_BYTES = 1024 * 1024 * 1024;

/** An answer that is not a Status, e.g. the page of a proxy, is quoted up to this many characters. */
const QUOTED = 200;

/** `Status` of meta/v1: how the API server answers errors. */
export interface KubeStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly causes?: readonly Partial<StatusCause>[];
    readonly retryAfterSeconds?: number;
  };
}

/** Reads the whole body. Rejects with a KubeError `network` when the connection breaks. */
export async function readBody(what: string, answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) throw new Error(`the answer has over ${MAX_ANSWER_BYTES} bytes`);
    }
  } catch (error) {
    throw networkError(what, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** @throws KubeError `network` when the text is not a JSON object */
export function parseJson(what: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Reported below, with the beginning of the text.
  }
  const begin = JSON.stringify(text.slice(0, QUOTED));
  throw new KubeError('network', `${what}: the answer is not a JSON object but ${begin}`);
}

/** Whole seconds, or undefined; API servers do not send dates. */
function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

export function statusError(what: string, status: KubeStatus, retryAfter?: string): KubeError {
  const { message = 'no reason given', reason = '', code = 0, details } = status;
  const causes = details?.causes ?? [];
  return new KubeError('status', `${what}: ${code} ${reason} ${message}`, {
    status: code,
    reason,
    causes: causes.map((one) => ({ reason: '', message: '', field: '', ...one })),
    retryAfterSeconds: seconds(retryAfter) ?? details?.retryAfterSeconds,
  });
}

function statusOf(text: string): KubeStatus {
  try {
    const value = JSON.parse(text) as KubeStatus | null;
    if (typeof value?.message === 'string') return value;
  } catch {
    // Not a Status: quote it.
  }
  return { message: text.slice(0, QUOTED) };
}

/** The error of an answer that is not 2xx. */
export async function answerError(what: string, answer: IncomingMessage): Promise<KubeError> {
  const text = await readBody(what, answer);
  const code = answer.statusCode ?? 0;
  return statusError(what, { ...statusOf(text), code }, answer.headers['retry-after']);
}
