import { z } from 'zod';
import type { Fault } from './error';
import { fault } from './error';
import { didYouMean } from './closest';
import { pathText } from './path';
import type { Form } from './wire';
import { schemaFor, unwrap } from './walk';
import { schemaAt } from './wire';
import { entryOf } from './entry';

type Issue = z.core.$ZodIssue;

const ARTICLES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
}

function choice(path: string, got: unknown, values: readonly unknown[]): Fault {
  const near = typeof got === 'string' ? didYouMean(got, values.map(String)) : undefined;
  return fault(path, got, oneOf(values), near ?? 'choose one');
}

/** A longer list of names hides the hint. */
const MAX_LISTED_NAMES = 12;

/** Fields one level deeper: `replicas` beside `scaling` probably means `scaling.minReplicas`. */
function namesBelow(root: z.ZodType, path: readonly PropertyKey[], form: Form): readonly string[] {
  const here = schemaAt(root, path, undefined).names;
  return here.fields.flatMap((field, at) => {
    const { names } = schemaAt(root, [...path, field], undefined);
    return names[form].map((name) => `${here[form][at]}.${name}`);
  });
}

function unknownKeys(
  issue: Issue & { code: 'unrecognized_keys' },
  root: z.ZodType,
  form: Form,
): Fault[] {
  const known = schemaAt(root, issue.path, issue.input).names[form];
  const below = namesBelow(root, issue.path, form);
  return issue.keys.map((key) => {
    const near = didYouMean(key, known, below);
    const list =
      near !== undefined && known.length > MAX_LISTED_NAMES ? '' : `, must be ${oneOf(known)}`;
    return {
      path: pathText([...issue.path, key]),
      message: `unknown field${list}; ${near ?? 'remove it'}`,
      got: key,
      allowed: known.join(', '),
    };
  });
}

/** The texts of our own rules are written as «allowed; fix». */
function ownText(path: string, issue: Issue): Fault {
  const cut = issue.message.lastIndexOf('; ');
  const allowed = cut < 0 ? issue.message : issue.message.slice(0, cut);
  const fix = cut < 0 ? 'correct it' : issue.message.slice(cut + 2);
  return fault(path, issue.input, allowed, fix);
}

function bound(path: string, issue: Issue & { code: 'too_small' | 'too_big' }): Fault {
  // A message of our own takes the place of zod's.
  if (!/^Too (small|big)/.test(issue.message)) return ownText(path, issue);
  const small = issue.code === 'too_small';
  const limit = small ? issue.minimum : issue.maximum;
  const one = Number(limit) === 1;
  const [character, entry] = one ? ['character', 'entry'] : ['characters', 'entries'];
  const many = `${limit} ${issue.origin === 'string' ? character : entry}`;
  if (issue.origin === 'string' || issue.origin === 'array') {
    if (!small) return fault(path, issue.input, `at most ${many}`, 'shorten it');
    return fault(path, issue.input, `at least ${many}`, 'add more');
  }
  const open = issue.inclusive === false;
  const sign = small ? (open ? '>' : '≥') : open ? '<' : '≤';
  return fault(path, issue.input, `${sign} ${limit}`, small ? 'raise it' : 'lower it');
}

/** For a union: the faults of the branch that matched furthest, else the union's own text. */
function union(issue: Issue & { code: 'invalid_union' }, root: z.ZodType, form: Form): Fault[] {
  const { path, input } = issue;
  if ('discriminator' in issue && issue.discriminator !== undefined) {
    const given = entryOf(
      input as Record<string, unknown> | undefined,
      String(issue.discriminator),
    );
    const place =
      path.at(-1) === issue.discriminator ? path : [...path, String(issue.discriminator)];
    return [choice(pathText(place), given, discriminators(root, path))];
  }
  const deep = issue.errors.filter((errors) =>
    errors.every((one) => one.code !== 'invalid_type' || one.path.length > 0),
  );
  if (deep.length === 1 && deep[0] !== undefined) {
    return deep[0].flatMap((inner) =>
      faultsOf({ ...inner, path: [...path, ...inner.path] }, root, form),
    );
  }
  return [ownText(pathText(path), issue)];
}

function discriminators(root: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  const owner = path.at(-1) === 'kind' ? path.slice(0, -1) : path;
  return schemaAt(root, owner, undefined).kinds;
}

/** YAML reads `version: 1` as a number and `no` as false: quotes make text of them. */
function typeFix(input: unknown, expected: string): string {
  if (input === undefined) return 'add it';
  const isScalar = typeof input === 'number' || typeof input === 'boolean';
  return expected === ARTICLES['string'] && isScalar
    ? `put it in quotes: "${input}"`
    : `write ${expected}`;
}

/** Whether the whole line may be removed: optional fields, entries of a list or of a map. */
function isRemovable(root: z.ZodType, path: readonly PropertyKey[]): boolean {
  const around = schemaFor(root, path.slice(0, -1));
  const owner = around === undefined ? undefined : unwrap(around);
  if (owner instanceof z.ZodRecord || owner instanceof z.ZodArray) return true;
  const own = schemaFor(root, path);
  return own !== undefined && z.core.safeParse(own, undefined).success;
}

/** A key without a value is null in YAML. */
function nullFault({ path, allowed = 'a value' }: Fault, canGo: boolean): Fault {
  const named = /^(?:an? [a-z]+|true or false)(?= or \{|$)/.exec(allowed)?.[0];
  const give = allowed.startsWith('one of ') ? 'choose one' : `write ${named ?? 'a value'}`;
  return fault(path, null, allowed, canGo ? `remove the line, or ${give}` : give);
}

/** All faults of one zod issue, in our words. */
export function faultsOf(issue: Issue, root: z.ZodType, form: Form): Fault[] {
  const found = ownFaults(issue, root, form);
  if (issue.input !== null) return found;
  return found.map((one) => nullFault(one, isRemovable(root, issue.path)));
}

function ownFaults(issue: Issue, root: z.ZodType, form: Form): Fault[] {
  const path = pathText(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return unknownKeys(issue, root, form);
    case 'invalid_type': {
      const expected = entryOf(ARTICLES, issue.expected) ?? issue.expected;
      const own = !issue.message.startsWith('Invalid input');
      if (own) return [ownText(path, issue)];
      return [fault(path, issue.input, expected, typeFix(issue.input, expected))];
    }
    case 'invalid_value':
      if (!issue.message.startsWith('Invalid')) return [ownText(path, issue)];
      return [choice(path, issue.input, issue.values)];
    case 'too_small':
    case 'too_big':
      return [bound(path, issue)];
    case 'invalid_union':
      return union(issue, root, form);
    case 'invalid_key':
      return issue.issues.flatMap((inner) => faultsOf({ ...inner, path: issue.path }, root, form));
    case 'invalid_element':
      return issue.issues.flatMap((inner) => faultsOf({ ...inner, path: issue.path }, root, form));
    default:
      return [ownText(path, issue)];
  }
}
