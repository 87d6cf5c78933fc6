/** Request headers of a download: the range to resume from, and its condition. */
export type Headers = Readonly<Record<string, string>>;

/** One file of an artifact. */
export interface Entry {
  /** Path below the target folder, `/` between folders. */
  readonly path: string;
  /** Requests the bytes; the headers give the range to resume from. */
  readonly open: (headers: Headers) => Promise<Response>;
  /** Hex SHA-256 when the source states it. */
  readonly sha256?: string | undefined;
  /** Bytes, when the source states them before the download. */
  readonly size?: number | undefined;
  /** Identifies the content, when the source states it: it changes with the content. */
  readonly tag?: string | undefined;
  /** The entry is an archive to be unpacked, whatever its name. */
  readonly archive?: boolean;
}

export type Fetcher = (url: string, init?: RequestInit) => Promise<Response>;

/**
 * Tools of a source: HTTP (with the right certificate authority) and the credentials of the pod.
 */
export interface SourceContext {
  readonly http: Fetcher;
  readonly env: NodeJS.ProcessEnv;
  readonly endpoint?: string | undefined;
  /** True: the server loads one file, or an archive; false: all files below a prefix. */
  readonly single: boolean;
}

/** The source refused or does not exist; a retry would not help. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** The source may answer later, by its own statement after this time. */
export class BusyError extends Error {
  constructor(
    message: string,
    readonly afterMs: number,
  ) {
    super(message);
  }
}

/** The reason of a failure, as text. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error
    ? error.message
    : String((error as { message?: unknown }).message ?? error);

/** Statuses after which the same request may succeed (RFC 9110; 408 and 425 included). */
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Error bodies of stores are short; a longer one is a web page. Characters. */
const MAX_ERROR_TEXT = 4096;

/** The code in an error of S3 or a registry, e.g. NoSuchKey; it never holds a secret. */
async function codeOf(response: Response): Promise<string> {
  const text = (await response.text().catch(() => '')).slice(0, MAX_ERROR_TEXT);
  const [, xml, json] = /<Code>(\w+)<\/Code>|"code":\s*"(\w+)"/.exec(text) ?? [];
  const code = xml ?? json;
  return code === undefined ? '' : ` (${code})`;
}

function hintOf({ status, headers }: Response): string {
  const region = headers.get('x-amz-bucket-region');
  if (region !== null && status !== 403 && status !== 404) {
    return `the bucket is in ${region}: set AWS_REGION to that in the Secret`;
  }
  return status === 401 || status === 403
    ? 'check source.credentials: the Secret it names must hold the keys of the store'
    : 'check the URI';
}

/** A 2xx response, or an error that says whether a retry makes sense. */
export async function expectOk(response: Response, what: string): Promise<Response> {
  if (response.ok) return response;
  const { status, statusText, headers } = response;
  const said = `${status} ${statusText}`.trim() + (await codeOf(response));
  const message = `${what}: the source answered ${said}`;
  if (!TRANSIENT.has(status)) throw new SourceError(`${message}; ${hintOf(response)}`);
  throw new BusyError(message, Number(headers.get('retry-after') ?? 0) * 1000 || 0);
}

/** A URI for logs: a signed URL is a credential, and so is a URL with a password. */
export function shown(uri: string): string {
  return uri.replace(/[?#].*$/, '').replace(/^([a-z0-9]+:\/\/)[^/@]*@/i, '$1');
}

/** The result of `load`, loaded again after `lifeMs`: tokens expire during downloads. */
export function renewed<T>(load: () => Promise<T>, lifeMs: number): () => Promise<T> {
  let until = 0;
  let last: Promise<T> | undefined;
  return () => {
    if (last === undefined || Date.now() > until) {
      until = Date.now() + lifeMs;
      last = load();
      last.catch(() => (last = undefined));
    }
    return last;
  };
}
