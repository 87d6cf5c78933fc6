import type { Environment, Finding, Form, ModelSpec } from '../spec';
import { budgetFindings, DefinitionError, findingInForm, findingsOf } from '../spec';
import { NAMESPACE_FILE, namespaceOf, objectsOf } from '../objects';
import type { Environments } from './environments';
import { FindingsError, throwAll } from './errors';
import { inFormOf } from './load';
import type { Previous } from './previous';
import { yamlOf } from '../objects/yaml';

/** Extension of manifests, the one cdk8s uses. */
export const MANIFEST = '.k8s.yaml';

export interface Synthesis {
  /** Path below the output folder (`iris.k8s.yaml`, `production/iris.k8s.yaml`) → content. */
  readonly files: ReadonlyMap<string, string>;
  /** Warnings; errors were thrown. */
  readonly findings: readonly Finding[];
}

export interface SynthesisOptions {
  /** `YYYY-MM-DD`: waivers that ended before it do not count. */
  readonly today?: string;
  /** The replaced definitions; `previousIn` reads them from the output folder. */
  readonly previous?: Previous;
  /** Warnings count as errors. */
  readonly strict?: boolean;
}

/** A definition from `discover`; one made in code has no file. */
export interface Given {
  readonly spec: ModelSpec;
  readonly file?: string;
  readonly form?: Form;
}

/** The name of a model’s manifest. */
export function manifestName({ id }: ModelSpec): string {
  return `${id}${MANIFEST}`;
}

function render({ spec, file, form = 'fields' }: Given, environment: Environment): string {
  try {
    return yamlOf(objectsOf(spec, environment));
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    throw new DefinitionError(inFormOf(form, error.faults), file ?? spec.id);
  }
}

function checkFindings(
  given: readonly Given[],
  environment: Environment,
  folder: string,
  { today, previous, strict = false }: SynthesisOptions,
): readonly Finding[] {
  const own = given.flatMap(({ spec, form = 'fields' }) => {
    const before = previous?.(`${folder}${manifestName(spec)}`);
    const found = findingsOf(spec, { environment, today, previous: before });
    return found.map((one) => findingInForm(one, form));
  });
  const specs = given.map(({ spec }) => spec);
  const findings = [...own, ...budgetFindings(specs, environment)];
  const wrong = findings.filter(({ severity }) => strict || severity === 'error');
  const fileOf = (model: string): string | undefined =>
    given.find(({ spec }) => spec.id === model)?.file;
  if (wrong.length > 0) throw new FindingsError(wrong, fileOf);
  return findings;
}

function renderAll(given: readonly Given[], environment: Environment): Map<string, string> {
  const files = new Map<string, string>();
  const errors: DefinitionError[] = [];
  const namespace = namespaceOf(environment);
  if (namespace !== undefined) files.set(NAMESPACE_FILE, yamlOf([namespace]));
  for (const one of given) {
    try {
      files.set(manifestName(one.spec), render(one, environment));
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      errors.push(error);
    }
  }
  throwAll(errors);
  return files;
}

/** The folder of an environment below the output folder: `production/`, or nothing. */
export function environmentFolder({ name }: Environment, { inFolders }: Environments): string {
  return inFolders ? `${name}/` : '';
}

/**
 * Manifests without a check of findings, by their path below the output folder.
 * @throws DefinitionError with all faults that show only when objects are made
 */
export function renderManifests(
  given: readonly Given[],
  environments: Environments,
): Map<string, string> {
  const entries = environments.all.flatMap((environment) => {
    const folder = environmentFolder(environment, environments);
    return [...renderAll(given, environment)].map(
      ([name, content]) => [`${folder}${name}`, content] as const,
    );
  });
  return new Map(entries);
}

/**
 * Definitions → manifests, without access to the disk. The constructs give the same bytes.
 * @throws DefinitionError with all faults that show only when objects are made, FindingsError with
 * all errors
 */
export function synthesize(
  given: readonly Given[],
  environments: Environments,
  options: SynthesisOptions = {},
): Synthesis {
  const files = renderManifests(given, environments);
  const findings = environments.all.flatMap((environment) =>
    checkFindings(given, environment, environmentFolder(environment, environments), options),
  );
  const different = new Map(findings.map((one) => [JSON.stringify(one), one]));
  return { files, findings: [...different.values()] };
}
