/** An error response; each protocol writes it in its own format. */
export class ServeError extends Error {
  constructor(
    /** HTTP status: 400, 404, 405, 413, 415, 500, 501, 503 or 504. */
    readonly status: number,
    message: string,
    /** Further response headers, such as `allow` and `retry-after`. */
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = 'ServeError';
  }
}

export const badRequest = (message: string): ServeError => new ServeError(400, message);

/** A value for a message: short, one line. */
export function shown(value: unknown): string {
  let text: string;
  if (typeof value === 'string') text = JSON.stringify(value);
  else if (typeof value === 'object' && value !== null) {
    text = Array.isArray(value) ? `a list of ${value.length}` : 'an object';
  } else text = String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** `a, b, c`, cut after twenty: a message is read by people. */
export function listed(names: readonly string[]): string {
  const head = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${head} and ${names.length - 20} more` : head;
}

/**
 * A model that cannot be served; the message has its name and the reason, and nothing was started.
 */
export class UnservableModel extends Error {
  override readonly name = 'UnservableModel';
}
