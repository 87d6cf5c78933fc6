import type { Candidate, Compare } from './candidates';
import type { ParsedModel } from './model';
import { candidateNameOf, STABLE } from './names';
import type { Resources } from './resources';
import type { Rollout } from './rollout';
import { hundredths } from './rollout';
import type { Scaling } from './scaling';
import type { Server } from './serverkinds';
import { defaultServer } from './servers';
import type { Source } from './source';

/** Traffic of an arm: a share of it, or a copy of a part of it. Percent, in steps of 0.01. */
export type ArmRole =
  | { readonly kind: 'traffic'; readonly percent: number }
  | { readonly kind: 'shadow'; readonly percent: number; readonly compare: Compare }
  | { readonly kind: 'rollout'; readonly rollout: Rollout };

/** A group of replicas of one model with everything it inherits filled in. */
export interface Arm {
  /** `stable`, or the candidate's name. */
  readonly name: string;
  readonly version: string;
  readonly role: ArmRole;
  readonly image?: string | undefined;
  readonly source?: Source | undefined;
  readonly server: Server;
  readonly resources: Resources;
  readonly scaling: Scaling;
  readonly env: ParsedModel['env'];
}

function nameOf(candidate: Candidate): string {
  return candidate.name ?? candidateNameOf(candidate.version);
}

function roleOf(candidate: Candidate): ArmRole {
  if (candidate.shadow !== undefined) {
    return {
      kind: 'shadow',
      percent: candidate.shadow,
      compare: candidate.compare ?? { rel: 1e-3 },
    };
  }
  if (candidate.rollout !== undefined) return { kind: 'rollout', rollout: candidate.rollout };
  return { kind: 'traffic', percent: candidate.traffic ?? 0 };
}

/** The share that is left for stable, in percent: `10` and `20` given away leave `70`. */
export function stablePercent(candidates: readonly Candidate[]): number {
  const given = candidates.reduce((sum, { traffic }) => sum + hundredths(traffic ?? 0), 0);
  return (10_000 - given) / 100;
}

type ArmSource = Pick<
  ParsedModel,
  | 'version'
  | 'framework'
  | 'type'
  | 'image'
  | 'source'
  | 'server'
  | 'resources'
  | 'scaling'
  | 'env'
  | 'candidates'
>;

/**
 * The arms of a definition, stable first, candidates in the author's order. A candidate inherits
 * every field that it does not set; an own `image` without `server` keeps the server of the
 * definition.
 */
export function armsOf(model: ArmSource): readonly [Arm, ...Arm[]] {
  const stable: Arm = {
    name: STABLE,
    version: model.version,
    role: { kind: 'traffic', percent: stablePercent(model.candidates) },
    image: model.image,
    source: model.source,
    server: model.server ?? defaultServer(model.framework, model.type, model.image !== undefined),
    resources: model.resources,
    scaling: model.scaling,
    env: model.env,
  };
  const rest = model.candidates.map((candidate) => ({
    name: nameOf(candidate),
    version: candidate.version,
    role: roleOf(candidate),
    image: candidate.image ?? model.image,
    source: candidate.source ?? model.source,
    server: candidate.server ?? stable.server,
    resources: { ...model.resources, ...candidate.resources },
    scaling: candidate.scaling ?? model.scaling,
    env: { ...model.env, ...candidate.env },
  }));
  return [stable, ...rest];
}

/** Path of a field of an arm in its definition: `source`, or `candidates[0].source`. */
export function armPath(spec: { readonly arms: readonly Arm[] }, arm: Arm, field: string): string {
  const index = spec.arms.findIndex(({ name }) => name === arm.name) - 1;
  return index < 0 ? field : `candidates[${index}].${field}`;
}
