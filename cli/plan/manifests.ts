import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../lib/objects';
import { DEFINITION_KEY, DEFINITION_LABEL, NAMESPACE_FILE } from '../../lib/objects';
import type { PlanModels, PlannedEnvironment, PlanSide } from '../../lib/plan/plan';
import type { Environment, ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import { entryOf } from '../../lib/spec/entry';
import type { Project } from '../commands/project';
import { synthLibrary } from '../commands/project';
import type { Sides } from './sides';
import { modelsOf, sideOf } from './sides';

// The old side of a plan in committed manifests.

function objectsIn(path: string): readonly KubeObject[] {
  if (!existsSync(path)) return [];
  return parseAllDocuments(readFileSync(path, 'utf8'))
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

/** The definition that a manifest was made from; undefined when it cannot be read any more. */
function storedSpec(objects: readonly KubeObject[]): ModelSpec | undefined {
  const stored = objects.find(({ metadata }) => metadata.labels?.[DEFINITION_LABEL] === 'true');
  const data = stored?.['data'] as Readonly<Record<string, string>> | undefined;
  const text = entryOf(data, DEFINITION_KEY);
  try {
    return text === undefined ? undefined : parseModel(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Manifests of a folder that are not what the definitions say. */
interface Changed {
  readonly root: string;
  /** Paths below the root. */
  readonly files: readonly string[];
  /** Models as they are now; those of other files are the same before. */
  readonly models: PlanModels;
  readonly environment: Environment;
}

function oldSide({ root, files, models, environment }: Changed, notes: string[]): PlanSide {
  const { manifestName } = synthLibrary();
  const specs = [...models.values()].flatMap(({ spec }) => (spec === undefined ? [] : [spec]));
  const ids = new Map(specs.map((spec) => [manifestName(spec), spec.id]));
  const old = new Map(models);
  let { shared } = sideOf(environment, models);
  for (const file of files) {
    const objects = objectsIn(join(root, file));
    const name = basename(file);
    const spec = storedSpec(objects);
    const id = ids.get(name) ?? spec?.id ?? name;
    if (name === NAMESPACE_FILE) shared = objects;
    else if (objects.length === 0) old.delete(id);
    else old.set(id, { spec, objects });
    if (objects.length > 0 && spec === undefined && name !== NAMESPACE_FILE) {
      notes.push(`${file}: the definition in it cannot be read, so only its objects are compared`);
    }
  }
  return { environment, models: old, shared };
}

const NO_MODELS: PlanModels = new Map();

/** Compares definitions with the committed manifests. Those that are up to date are not parsed. */
export function manifestSides(root: string, { definitions, environments }: Project): Sides {
  const { checkManifests, environmentFolder, renderManifests } = synthLibrary();
  const files = renderManifests(definitions, environments);
  const changed = new Set(checkManifests(root, files).map(({ file }) => file));
  const models = modelsOf(definitions);
  const notes: string[] = [];
  const planned = environments.all.map((environment): PlannedEnvironment => {
    const folder = environmentFolder(environment, environments);
    const own = [...changed].filter((file) => file.startsWith(folder));
    own.forEach((file) => changed.delete(file));
    return {
      name: environment.name,
      before: oldSide({ root, files: own, models, environment }, notes),
      after: sideOf(environment, models),
    };
  });
  const [environment] = environments.all;
  if (changed.size === 0 || environment === undefined) return { environments: planned, notes };
  // Manifests from before there were several environments.
  const left = { root, files: [...changed], models: NO_MODELS, environment };
  const former: PlannedEnvironment = {
    name: basename(root),
    before: { ...oldSide(left, notes), shared: [] },
  };
  return { environments: [...planned, former], notes };
}
