import type { HeaderText } from '../http/exchange';
import type { RouteKind } from '../routing/paths';
import type { Refusal } from '../transcode/refusal';
import { JSON_TYPE } from '../upstream/headers';

/** OpenAI's error types. */
function openaiType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** Clients of each protocol read errors in that protocol's shape. */
function bodyOf(kind: RouteKind | undefined, refusal: Refusal, now: number): object {
  const { code, message, more } = refusal;
  switch (kind) {
    case 'v1':
    case 'v1_list':
    case 'v1_server':
    case 'v2':
    case 'v2_server':
      return { error: message };
    case 'openai':
    case 'openai_list':
    case 'openai_model': {
      const type = openaiType(refusal.status);
      return { error: { message, type, code: code.toLowerCase(), param: null } };
    }
    default: {
      const error = { code, message, details: more.details ?? [] };
      return { status: 'error', error, timestamp: new Date(now).toISOString() };
    }
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: HeaderText;
  readonly body: string;
}

export function errorAnswer(
  kind: RouteKind | undefined,
  refusal: Refusal,
  now: number,
): ErrorAnswer {
  const { status, more, retryAfterSeconds } = refusal;
  const retry = retryAfterSeconds === undefined ? '' : `retry-after: ${retryAfterSeconds}\r\n`;
  return {
    status,
    headers: `${JSON_TYPE}${retry}${more.headers ?? ''}`,
    body: JSON.stringify(bodyOf(kind, refusal, now)),
  };
}
