import type { Candidate } from './candidates';
import { candidateSchema, MAX_SHADOWS, MAX_TRAFFIC_CANDIDATES } from './candidates';
import { entryOf } from './entry';
import type { Fault } from './error';
import { fault } from './error';
import type { ParsedModel } from './model';
import { candidateNameOf, STABLE } from './names';
import { hundredths } from './rollout';
import { defaultServer } from './servers';

/** A candidate whose invalid fields are null. */
type ReadableCandidate = { readonly [K in keyof Candidate]?: Candidate[K] | null };

function readableCandidate(given: unknown): ReadableCandidate {
  const fields = typeof given === 'object' && given !== null ? given : {};
  const read = Object.entries(candidateSchema.shape).map(([key, schema]) => {
    const value = entryOf(fields as Record<string, unknown>, key);
    const { success, data } = schema.safeParse(value);
    return [key, success ? data : value === undefined ? undefined : null] as const;
  });
  return Object.fromEntries(read) as ReadableCandidate;
}

/** @returns undefined for a value that is not a list, and for lists that are too long to compare */
export function readableCandidates(given: unknown): readonly ReadableCandidate[] | undefined {
  if (!Array.isArray(given) || given.length > MAX_TRAFFIC_CANDIDATES + MAX_SHADOWS)
    return undefined;
  return given.map(readableCandidate);
}

/**
 * Rules over several fields. Each sees only fields that are valid by themselves (others are
 * undefined, those of candidates null), so that one answer can hold the faults of both kinds.
 */
export interface ReadableModel extends Omit<Partial<ParsedModel>, 'candidates'> {
  readonly candidates?: readonly ReadableCandidate[] | undefined;
}

type Rule = (model: ReadableModel) => readonly Fault[];

const isRead = (field: unknown): boolean => field !== undefined && field !== null;

const brings: Rule = ({ image, source, framework, server, type }) => {
  if (image !== undefined || source !== undefined || framework === undefined) return [];
  const { kind } = server ?? defaultServer(framework, type ?? 'other', false);
  return kind === 'custom'
    ? [fault('image', undefined, 'given for a custom server', 'add `image` with the model in it')]
    : [
        fault(
          'source',
          undefined,
          'given (or `image`, when it brings the model)',
          'add `source` with the artifact’s URI',
        ),
      ];
};

const oneImage: Rule = ({ image, server }) =>
  image !== undefined && server?.image !== undefined
    ? [
        fault(
          'server.image',
          server.image,
          'left out when `image` is given',
          'keep one of `image` and `server.image`',
        ),
      ]
    : [];

const shares: Rule = ({ candidates = [] }) => {
  const sum = candidates.reduce((total, { traffic }) => total + hundredths(traffic ?? 0), 0);
  return sum > 10_000
    ? [
        fault(
          'candidates',
          sum / 100,
          '≤ 100 percent of traffic in all',
          'lower a share; stable gets what is left',
        ),
      ]
    : [];
};

const counts: Rule = ({ candidates = [] }) => {
  const shadows = candidates.filter(({ shadow }) => isRead(shadow)).length;
  const live = candidates.filter(({ traffic, rollout }) => isRead(traffic ?? rollout)).length;
  const rollouts = candidates.filter(({ rollout }) => isRead(rollout)).length;
  return [
    ...(live > MAX_TRAFFIC_CANDIDATES
      ? [
          fault(
            'candidates',
            live,
            `at most ${MAX_TRAFFIC_CANDIDATES} with traffic`,
            'remove one or make it a shadow',
          ),
        ]
      : []),
    ...(shadows > MAX_SHADOWS
      ? [fault('candidates', shadows, `at most ${MAX_SHADOWS} shadows`, 'remove one')]
      : []),
    ...(rollouts > 1
      ? [fault('candidates', rollouts, 'at most 1 rollout', 'roll out one after the other')]
      : []),
  ];
};

function nameOf({ name, version }: ReadableCandidate): string | undefined {
  if (name !== undefined) return name ?? undefined;
  return isRead(version) ? candidateNameOf(String(version)) : undefined;
}

/** The field that an arm's name comes from, as its author wrote it. */
function nameSource({ name, version }: ReadableCandidate): string {
  return name ?? `version ${version} gives the name ${candidateNameOf(String(version))}`;
}

const distinctNames: Rule = ({ candidates = [] }) => {
  const names = candidates.map(nameOf);
  return candidates.flatMap((candidate, index) => {
    const path = `candidates[${index}].name`;
    const fix = 'give this candidate a name of its own';
    if (names[index] === undefined) return [];
    if (names[index] === STABLE) {
      const allowed = `a word other than ${STABLE} (that arm is the definition itself)`;
      return [fault(path, nameSource(candidate), allowed, fix)];
    }
    if (names.indexOf(names[index]) === index) return [];
    return [fault(path, nameSource(candidate), 'a name that no other candidate has', fix)];
  });
};

// A candidate with all traffic may run the version of stable: that is a promotion half-way, while
// stable rolls without traffic.
const distinctVersions: Rule = ({ candidates = [], version }) => {
  const all = [version, ...candidates.map((candidate) => candidate.version)];
  const mayBeStable = ({ traffic }: ReadableCandidate): boolean =>
    traffic === 100 || traffic === null;
  return candidates.flatMap((candidate, index) =>
    isRead(candidate.version) &&
    all.indexOf(candidate.version, mayBeStable(candidate) ? 1 : 0) <= index
      ? [
          fault(
            `candidates[${index}].version`,
            candidate.version,
            'a version that no other arm runs',
            'answers name the version they came from; give each arm its own',
          ),
        ]
      : [],
  );
};

const gateNeedsTarget: Rule = ({ candidates = [] }) =>
  candidates.flatMap(({ shadow, scaling }, index) =>
    isRead(shadow) && scaling?.minReplicas === 0
      ? [
          fault(
            `candidates[${index}].scaling.minReplicas`,
            0,
            '≥ 1 for a shadow (no caller waits for it, so nothing would wake it)',
            'set `minReplicas` to 1 or remove `scaling`',
          ),
        ]
      : [],
  );

const RULES: readonly Rule[] = [
  brings,
  oneImage,
  shares,
  counts,
  distinctNames,
  distinctVersions,
  gateNeedsTarget,
];

export function checkRules(model: ReadableModel): readonly Fault[] {
  return RULES.flatMap((rule) => rule(model));
}
