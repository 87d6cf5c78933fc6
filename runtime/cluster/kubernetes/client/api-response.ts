import type { IncomingMessage } from 'node:http';
import type { StatusCause } from './api-error';
import { KubeError, networkError } from './api-error';

/** A page of 500 objects, each at its largest in etcd (1.5 MiB), is less. */
const MAX_ANSWER_BYTES = 1024 * 1024 * 1024;

/** An answer that is no Status is somebody else's, e.g. a proxy's page; its beginning tells whose. */
const QUOTED = 200;

/** Kubernetes' own answer for whatever went wrong. */
export interface KubeStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly causes?: readonly Partial<StatusCause>[];
    readonly retryAfterSeconds?: number;
  };
}

/** The whole body. Rejects with a KubeError `network` when it breaks off. */
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

/** @throws KubeError `network`: what came is not what an API server says */
export function parseJson(what: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below, with what it was.
  }
  const begin = JSON.stringify(text.slice(0, QUOTED));
  throw new KubeError('network', `${what}: the answer is no JSON object but ${begin}`);
}

/** Whole seconds, or undefined; dates are not sent by API servers. */
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
    // Somebody else's answer: quoted.
  }
  return { message: text.slice(0, QUOTED) };
}

/** The error of an answer that is not 2xx. */
export async function answerError(what: string, answer: IncomingMessage): Promise<KubeError> {
  const text = await readBody(what, answer);
  const code = answer.statusCode ?? 0;
  return statusError(what, { ...statusOf(text), code }, answer.headers['retry-after']);
}
