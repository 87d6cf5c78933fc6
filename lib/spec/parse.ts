import type { Arm } from './arms';
import { armsOf } from './arms';
import type { Fault } from './error';
import { DefinitionError } from './error';
import { faultsOf } from './faults';
import { inForm } from './check';
import { entryOf, isObject } from './entry';
import { canonical } from './hash';
import type { ParsedModel } from './model';
import type { ModelInput } from './modelinput';
import { modelSchema } from './model';
import { slugOf } from './names';
import { pathParts } from './path';
import type { ReadableModel } from './rules';
import { checkRules, readableCandidates } from './rules';
import type { Server } from './serverkinds';
import type { Form, WireModel } from './wire';
import { fromWire, toWire } from './wire';

/** A definition that passed every check, with all defaults and all inheritance filled in. */
export interface ModelSpec extends Omit<ParsedModel, 'name' | 'server'> {
  readonly name: string;
  /** The id as Kubernetes names it. */
  readonly slug: string;
  readonly server: Server;
  /** Stable first, then the candidates in the author's order. */
  readonly arms: readonly [Arm, ...Arm[]];
  /** The canonical wire form of the author's definition, without defaults: the stored form. */
  readonly definition: WireModel;
}

export interface ParseOptions {
  /** File of the definition, for messages. */
  readonly file?: string;
}

const rootOf = ({ path }: Fault): PropertyKey | undefined => pathParts(path)[0];

/**
 * Rules over several fields, on those fields that are valid by themselves; `parsed` when all are.
 */
function ruleFaults(
  input: object,
  own: readonly Fault[],
  parsed: ParsedModel | undefined,
): readonly Fault[] {
  if (parsed !== undefined) return checkRules(parsed);
  const broken = new Set(own.map(rootOf));
  // Faults of rules about candidates are kept although other fields are wrong: a rule never reads
  // an invalid field.
  const isNews = (found: Fault): boolean =>
    rootOf(found) === 'candidates' || !broken.has(rootOf(found));
  return checkRules(readablePart(input, broken)).filter(isNews);
}

function readablePart(input: object, broken: ReadonlySet<unknown>): ReadableModel {
  const rest = Object.fromEntries(Object.entries(input).filter(([key]) => !broken.has(key)));
  const parsed = modelSchema.partial().safeParse(rest);
  const sound = parsed.success ? parsed.data : {};
  if (!broken.has('candidates')) return sound;
  const given = entryOf(input as Record<string, unknown>, 'candidates');
  return { ...sound, candidates: readableCandidates(given) };
}

function throwFaults(faults: readonly Fault[], form: Form, file: string | undefined): never {
  throw new DefinitionError(
    faults.map((found) => inForm(found, modelSchema, form)),
    file,
  );
}

/**
 * Parses a definition in field or wire form. The only parser: files, REST and the stored form use
 * it.
 * @throws DefinitionError with every fault of the definition, paths in the form its author used
 */
export function parseModel(given: unknown, { file }: ParseOptions = {}): ModelSpec {
  const form: Form = isObject(given) && Object.hasOwn(given, 'model_id') ? 'wire' : 'fields';
  const input = withFile(file, () => fromWire(given));
  const result = modelSchema.safeParse(input, { reportInput: true });
  const own = result.success
    ? []
    : result.error.issues.flatMap((issue) => faultsOf(issue, modelSchema, form));
  const faults = [...own, ...(isObject(input) ? ruleFaults(input, own, result.data) : [])];
  if (faults.length > 0 || !result.success) throwFaults(faults, form, file);
  return resolve(result.data, canonical(toWire(input as ModelInput)) as WireModel);
}

function withFile<T>(file: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof DefinitionError) throw new DefinitionError(error.faults, file);
    throw error;
  }
}

function resolve(parsed: ParsedModel, definition: WireModel): ModelSpec {
  const arms = armsOf(parsed);
  return {
    ...parsed,
    name: parsed.name ?? parsed.id,
    slug: slugOf(parsed.id),
    server: arms[0].server,
    arms,
    definition,
  };
}
