/** One file of an artifact, ready to be asked for. */
export interface Entry {
  /** Path below the target folder, `/` between folders. */
  readonly path: string;
  /** Asks for the bytes; `from` is where to go on after a cut. */
  readonly open: (from: number) => Promise<Response>;
  /** Hex SHA-256 when the source tells it. */
  readonly sha256?: string | undefined;
  /** The entry is an archive whose content is wanted, whatever its name. */
  readonly archive?: boolean;
}

export type Fetcher = (url: string, init?: RequestInit) => Promise<Response>;

/** What a source may use: HTTP (with the right certificate authority) and the credentials of the pod. */
export interface SourceContext {
  readonly http: Fetcher;
  readonly env: NodeJS.ProcessEnv;
  readonly endpoint?: string | undefined;
  /** True: the server wants one file, or an archive; false: all files below a prefix are wanted. */
  readonly single: boolean;
}

/** A source that refused or does not exist; trying again would not help. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** Statuses after which the same request may succeed (RFC 9110; 408 and 425 included). */
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A 2xx answer, or an error that says whether trying again makes sense. */
export async function expectOk(response: Response, what: string): Promise<Response> {
  if (response.ok) return response;
  await response.body?.cancel();
  const message = `${what}: the source answered ${response.status} ${response.statusText}`.trim();
  if (TRANSIENT.has(response.status)) throw new Error(message);
  const hint =
    response.status === 401 || response.status === 403
      ? '; check source.credentials: the Secret it names must hold the keys of the store'
      : '; check the URI';
  throw new SourceError(message + hint);
}

export function rangeHeader(from: number): Record<string, string> {
  return from > 0 ? { range: `bytes=${from}-` } : {};
}

/** The last segment of a path or URL without its query. */
export function lastSegment(uri: string): string {
  return decodeURIComponent(
    uri
      .replace(/[?#].*$/, '')
      .replace(/\/+$/, '')
      .split('/')
      .at(-1) ?? '',
  );
}
