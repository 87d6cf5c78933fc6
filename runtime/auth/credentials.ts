import type { HeaderFields } from './port';

/** What a request shows; of both headers `X-API-Key` counts. */
export interface ShownCredentials {
  readonly key: string | undefined;
  readonly bearer: string | undefined;
}

/** No regular expression: it would look at each character of a token. */
function bearerOf(value: string | undefined): string | undefined {
  if (value === undefined || value.slice(0, 7).toLowerCase() !== 'bearer ') return undefined;
  const credential = value.slice(7).trim();
  return credential === '' || credential.includes(' ') ? undefined : credential;
}

export function shownBy(headers: HeaderFields): ShownCredentials {
  const key = headers.get('x-api-key');
  if (key !== undefined && key !== '') return { key, bearer: undefined };
  return { key: undefined, bearer: bearerOf(headers.get('authorization')) };
}
