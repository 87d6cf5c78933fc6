/** One fault of a definition, with its correction. */
export interface Fault {
  /**
   * The dotted path of the field as its author wrote it, e.g. `scaling.maxReplicas`; `''` is the
   * whole.
   */
  readonly path: string;
  /** The whole sentence: the given value, the allowed ones, the correction. */
  readonly message: string;
  /** The given value, as short text; absent when there was none. */
  readonly got?: string;
  /** Accepted values, as text. */
  readonly allowed?: string;
  /** The file, and its line from 1, when they are known. */
  readonly file?: string;
  readonly line?: number;
}

/** Longer values are cut in messages: a definition may hold certificates or prompts. */
const MAX_SHOWN_CHARACTERS = 60;

/** Shows a value in a message: short, on one line, strings quoted. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'bigint' ? String(inner) : inner,
  );
  if (text === undefined) return String(value);
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS - 1)}…`;
}

/**
 * Makes a fault from its parts.
 * @param allowed completes "must be …"
 * @param fix the correction for the author
 */
export function fault(path: string, got: unknown, allowed: string, fix: string): Fault {
  const given = got === undefined ? undefined : show(got);
  const head = given === undefined ? 'is missing' : `got ${given}`;
  return {
    path,
    message: `${head}, must be ${allowed}; ${fix}`,
    ...(given !== undefined && { got: given }),
    allowed,
  };
}

/**
 * The same fault with a number or a word as its author wrote it: the value of `1.10` is 1.1, and it
 * has to be written "1.10".
 */
export function asWritten(found: Fault, source: string | undefined): Fault {
  const { got, message } = found;
  if (source === undefined || got === undefined) return found;
  const said = message
    .replace(`got ${got},`, () => (source === '' ? 'has no value,' : `got ${source},`))
    .replace(`in quotes: "${got}"`, () => `in quotes: "${source}"`)
    .replace('write numbers and booleans in quotes', () => `put it in quotes: "${source}"`);
  return { ...found, message: said, got: source || got };
}

/** One line per fault: `models/x.ts: scaling.maxReplicas: got 1, must be …; raise it …`. */
export function formatFault(found: Fault, file?: string): string {
  return [file, found.path, found.message]
    .filter((part) => part !== undefined && part !== '')
    .join(': ');
}

/** A definition that breaks the schema, with all faults. Nothing was changed. */
export class DefinitionError extends Error {
  override readonly name = 'DefinitionError';
  readonly code = 'INVALID_MODEL_CONFIG';
  readonly faults: readonly Fault[];
  readonly file: string | undefined;

  constructor(faults: readonly Fault[], file?: string) {
    super(faults.map((one) => formatFault(one, file)).join('\n'));
    this.faults = faults;
    this.file = file;
  }
}
