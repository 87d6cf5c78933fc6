import type { Candidate } from './candidates';
import { hundredths, MAX_SHADOWS, MAX_TRAFFIC_CANDIDATES } from './candidates';
import { nameOf } from './arms';
import type { Fault } from './error';
import { fault } from './error';
import type { ParsedModel } from './model';
import { STABLE } from './names';
import { defaultServer } from './servers';

/**
 * Rules over several fields. Each sees only fields that passed on their own (the others are
 * undefined), so that one answer can hold the faults of both kinds.
 */
type Rule = (model: Partial<ParsedModel>) => readonly Fault[];

const brings: Rule = ({ image, source, framework, server, type }) => {
  if (image !== undefined || source !== undefined || framework === undefined) return [];
  const { kind } = server ?? defaultServer(framework, type ?? 'other', false);
  return kind === 'custom'
    ? [fault('image', undefined, 'given for a custom server', 'add image with the model in it')]
    : [
        fault(
          'source',
          undefined,
          'given (or image, when it brings the model)',
          'add source with the artifact’s URI',
        ),
      ];
};

const oneImage: Rule = ({ image, server }) =>
  image !== undefined && server?.image !== undefined
    ? [
        fault(
          'server.image',
          server.image,
          'left out when image is given',
          'keep one of image and server.image',
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
  const shadows = candidates.filter(({ shadow }) => shadow !== undefined).length;
  const live = candidates.length - shadows;
  const rollouts = candidates.filter(({ rollout }) => rollout !== undefined).length;
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

/** What the name of an arm comes from: people look for what they wrote. */
function nameSource(candidate: Candidate): string {
  return candidate.name === undefined
    ? `version ${candidate.version} gives the name ${nameOf(candidate)}`
    : candidate.name;
}

const distinctNames: Rule = ({ candidates = [] }) => {
  const names = candidates.map(nameOf);
  return candidates.flatMap((candidate, index) => {
    const path = `candidates[${index}].name`;
    const fix = 'give this candidate a name of its own';
    if (nameOf(candidate) === STABLE) {
      const allowed = `another word than ${STABLE} (that arm is the definition itself)`;
      return [fault(path, nameSource(candidate), allowed, fix)];
    }
    if (names.indexOf(nameOf(candidate)) === index) return [];
    return [fault(path, nameSource(candidate), 'another name than its siblings’', fix)];
  });
};

// A candidate that has all traffic may run what stable runs: that is a promotion half-way, with
// stable rolling while it receives nothing.
const distinctVersions: Rule = ({ candidates = [], version }) => {
  const all = [version, ...candidates.map((candidate) => candidate.version)];
  return candidates.flatMap((candidate, index) =>
    all.indexOf(candidate.version, candidate.traffic === 100 ? 1 : 0) <= index
      ? [
          fault(
            `candidates[${index}].version`,
            candidate.version,
            'another version than the other arms run',
            'answers name the version they came from; give each arm its own',
          ),
        ]
      : [],
  );
};

const gateNeedsTarget: Rule = ({ candidates = [] }) =>
  candidates.flatMap(({ shadow, scaling }, index) =>
    shadow !== undefined && scaling?.minReplicas === 0
      ? [
          fault(
            `candidates[${index}].scaling.minReplicas`,
            0,
            '≥ 1 for a shadow (no caller waits for it, so nothing would wake it)',
            'set minReplicas to 1 or remove scaling',
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

export function checkRules(model: Partial<ParsedModel>): readonly Fault[] {
  return RULES.flatMap((rule) => rule(model));
}
