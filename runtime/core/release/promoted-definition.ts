import type { ModelSpec, WireModel } from '../../../lib/spec';

type Plain = Readonly<Record<string, unknown>>;

/**
 * Wire names of what belongs to a version and a candidate inherits unless it says otherwise: whole
 * … How many replicas an arm has is not among them: a candidate's scaling is made for its small
 * share.
 */
const REPLACED = ['docker_image', 'repository_url', 'server'] as const;
/** … and key by key. */
const MERGED = ['resource_requirements', 'environment_variables'] as const;

const plain = (value: unknown): Plain => (value ?? {}) as Plain;

/** The candidates of a definition as written; they stand in the order of `spec.candidates`. */
function written(spec: ModelSpec): readonly Plain[] {
  return (spec.definition['candidates'] ?? []) as readonly Plain[];
}

const isNamed = (spec: ModelSpec, name: string, index: number): boolean =>
  spec.arms[index + 1]?.name === name;

/** `over` laid on `base`, for those fields of a version that `changed` names. */
function inherit(base: Plain, over: Plain, changed: Plain): Plain {
  const whole = REPLACED.map((key) => [key, over[key] ?? base[key]] as const);
  const merged = MERGED.map((key) => [key, { ...plain(base[key]), ...plain(over[key]) }] as const);
  return Object.fromEntries(
    [...whole, ...merged].filter(
      ([key, value]) => changed[key] !== undefined && value !== undefined,
    ),
  );
}

/** An own image changes the default server; the server of the candidate must stay. */
function serverOf(spec: ModelSpec, name: string, stable: Plain): Plain {
  const runs = spec.arms.find((arm) => arm.name === name)?.server;
  const newImage = stable['docker_image'] !== spec.definition['docker_image'];
  return newImage && stable['server'] === undefined ? { server: runs } : {};
}

const withoutRole = ({
  traffic: _t,
  shadow: _s,
  rollout: _r,
  compare: _c,
  ...rest
}: Plain): Plain => rest;

/** Nothing is left for siblings while one has all; they keep what they inherited so far. */
function candidateAfter(spec: ModelSpec, chosen: Plain, candidate: Plain): Plain {
  if (candidate === chosen) return Object.assign(withoutRole(candidate), { traffic: 100 });
  const kept = { ...candidate, ...inherit(spec.definition, candidate, chosen) };
  return 'traffic' in candidate ? { ...kept, traffic: 0 } : kept;
}

/**
 * The definition in which stable runs the version of the candidate, and the candidate has all
 * traffic (second phase of a promotion). To be parsed like any other; siblings with traffic get 0
 * until they are given a share again.
 */
export function promotedDefinition(spec: ModelSpec, name: string): WireModel {
  const { definition } = spec;
  const all = written(spec);
  const chosen = plain(all.find((_, index) => isNamed(spec, name, index)));
  const taken = inherit(definition, chosen, chosen);
  const stable = { ...definition, ...taken, version: chosen['version'] };
  const candidates = all.map((candidate) => candidateAfter(spec, chosen, candidate));
  return { ...stable, ...serverOf(spec, name, stable), candidates };
}

/** The definition without the candidate (end of a promotion). */
export function finishedDefinition(spec: ModelSpec, name: string): WireModel {
  const { candidates: _, ...rest } = spec.definition;
  const left = written(spec).filter((_one, index) => !isNamed(spec, name, index));
  return left.length === 0 ? rest : { ...rest, candidates: left };
}
