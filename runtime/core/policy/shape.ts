// A small language for what JSON may look like. What no table names is refused: an allow-list needs
// no update when Kubernetes learns a new way to reach the host.

/** Something that must not be asked for. */
export interface Violation {
  /** `Deployment/iris`, or `definition`. */
  readonly object: string;
  /** `spec.template.spec.hostNetwork` */
  readonly path: string;
  readonly got: string;
  readonly allowed: string;
  /** All of it in a sentence, with what to do. */
  readonly message: string;
}

/** Where a value stands. */
export interface Place {
  readonly object: string;
  readonly path: string;
}

export type Check = (value: unknown, at: Place) => readonly Violation[];
export type Plain = Readonly<Record<string, unknown>>;

export const isPlain = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const plain = (value: unknown): Plain => (isPlain(value) ? value : {});
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Longer values hide the sentence. */
const MAX_SHOWN = 120;

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

export function violation(
  { object, path }: Place,
  value: unknown,
  allowed: string,
  fix: string,
): readonly Violation[] {
  const got = shown(value);
  return [
    {
      object,
      path,
      got,
      allowed,
      message: `${object} ${path}: got ${got}, must be ${allowed}; ${fix}`,
    },
  ];
}

/** `a.b`, `a[0]`, `a["x/y"]` */
export function below({ object, path }: Place, key: string | number): Place {
  if (typeof key === 'number') return { object, path: `${path}[${key}]` };
  const simple = /^[A-Za-z_][A-Za-z0-9_]*$/.test(key);
  if (!simple) return { object, path: `${path}[${JSON.stringify(key)}]` };
  return { object, path: path === '' ? key : `${path}.${key}` };
}

export const any: Check = () => [];

/** A longer list hides the sentence, too. */
const MAX_NAMED = 12;

const absent = (value: unknown): boolean => value === undefined || value === null;

/** An object of these fields; those of `required` must be there. Null is absent, as in Kubernetes. */
export function fields(
  table: Readonly<Record<string, Check>>,
  required: readonly string[] = [],
): Check {
  const names = Object.keys(table);
  const only = names.length > MAX_NAMED ? 'absent' : `absent (only ${names.join(', ')})`;
  return (value, at) => {
    if (!isPlain(value)) return violation(at, value, 'an object', 'correct it');
    const found = Object.entries(value).flatMap(([key, inner]) => {
      const check = Object.hasOwn(table, key) ? table[key] : undefined;
      if (absent(inner)) return [];
      const place = below(at, key);
      return check?.(inner, place) ?? violation(place, inner, only, 'remove it');
    });
    const missing = required.filter((key) => absent(value[key]));
    return [
      ...found,
      ...missing.flatMap((key) =>
        violation(below(at, key), undefined, 'given', 'leave it in place'),
      ),
    ];
  };
}

export function listOf(check: Check): Check {
  return (value, at) =>
    Array.isArray(value)
      ? value.flatMap((one: unknown, index) => check(one, below(at, index)))
      : violation(at, value, 'a list', 'correct it');
}

export function oneOf(...allowed: readonly unknown[]): Check {
  return (value, at) =>
    allowed.includes(value)
      ? []
      : violation(at, value, allowed.map((one) => JSON.stringify(one)).join(' or '), 'leave it so');
}

/** Text for which `test` holds. */
export function textThat(test: (text: string) => boolean, allowed: string, fix: string): Check {
  return (value, at) =>
    typeof value === 'string' && test(value) ? [] : violation(at, value, allowed, fix);
}

/** A map that has at least these entries. */
export function mapWith(entries: Readonly<Record<string, string>>): Check {
  return (value, at) =>
    Object.entries(entries).flatMap(([key, wanted]) =>
      plain(value)[key] === wanted
        ? []
        : violation(below(at, key), plain(value)[key], `"${wanted}"`, 'name only this model'),
    );
}

export function both(...checks: readonly Check[]): Check {
  return (value, at) => checks.flatMap((check) => check(value, at));
}
