import type { Arm, Source } from '../../../lib/spec';
import { armPath, canonical, fault } from '../../../lib/spec';
import { repositoryOf } from '../../../lib/spec/images';
import type { PolicyRule, Subject, Violation } from './context';
import { fieldOf, isOfModel, isServiceName } from './context';

// Rules for resources of others: Secrets, claims, cloud roles. Code that runs with such a resource
// can read it. So a stored value may stay only with the code that it was stored for: the repository
// of the image, and the source of the artifact.

/** `s3://bucket`, `https://host:port`; an endpoint is part of it. */
function placeOf(source: Source | undefined): string {
  if (source === undefined) return 'in the image';
  const authority = /^[a-z0-9+.-]+:\/\/[^/?#]*/i.exec(source.uri)?.[0] ?? 'file';
  return `${authority} ${source.endpoint ?? ''}`;
}

/** Identity of the code of an arm; a new version of the same code has the same. */
function codeOf({ image, server, source }: Arm): string {
  const named = image ?? server.image;
  const repository = named === undefined ? server.kind : repositoryOf(named);
  return `${repository} ${placeOf(source)}`;
}

/** An invalid value, in the arguments of `fault`. */
export type Wrong = readonly [path: string, got: unknown, allowed: string, fix: string];

const STAYS = 'only as stored, with the image and the source that it was stored for';

/**
 * A violation for each arm that would run with the resource.
 * @param part the named part of it: access to one part does not include others
 */
export function granted(
  arms: readonly Arm[],
  [path, got, ...rest]: Wrong,
  part = '',
): readonly Violation[] {
  const [allowed, fix] = rest;
  return arms.map((arm) => ({
    id: JSON.stringify(canonical([fieldOf(path), got, part, codeOf(arm)])),
    fault: fault(path, got, allowed, `${fix}; ${STAYS}`),
  }));
}

type NamedSecret = readonly [field: string, secret: string, key?: string];

/** The Secrets of an arm: path, name, and key. */
function secretsOf({ env, source }: Arm): readonly NamedSecret[] {
  const variables = Object.entries(env).flatMap(([name, value]) =>
    typeof value === 'string' ? [] : [[`env.${name}.secret`, value.secret, value.key] as const],
  );
  const stores = [
    ['source.credentials.secret', source?.credentials?.secret],
    ['source.ca', source?.ca],
  ] as const;
  const named = stores.flatMap(([field, name]) =>
    name === undefined ? [] : [[field, name] as const],
  );
  return [...variables, ...named];
}

const secrets: PolicyRule = ({ spec, rules }) => {
  const isAllowed = (name: string): boolean =>
    isOfModel(spec, name) || (!isServiceName(name) && (rules.secrets ?? []).includes(name));
  const allowed = `${spec.slug}--…, or one of kubernetes.allowed_secrets, and never the service’s own`;
  const fix = 'rename the Secret, or put the model in Git';
  return spec.arms.flatMap((arm) =>
    secretsOf(arm)
      .filter(([, secret]) => !isAllowed(secret))
      .flatMap(([field, secret, key]) =>
        granted([arm], [armPath(spec, arm, field), secret, allowed, fix], key),
      ),
  );
};

/** `pvc://claim/path` */
const claimOf = ({ uri }: Source): string => /^pvc:\/\/([^/?#]*)/i.exec(uri)?.[1] ?? '';

const claims: PolicyRule = ({ spec, rules }) => {
  const isAllowed = (name: string): boolean =>
    isOfModel(spec, name) || (!isServiceName(name) && (rules.claims ?? []).includes(name));
  const allowed = `on a claim ${spec.slug}--…, or on one of kubernetes.allowed_claims`;
  return spec.arms.flatMap((arm) => {
    const { source } = arm;
    if (source?.scheme !== 'pvc' || isAllowed(claimOf(source))) return [];
    const path = armPath(spec, arm, 'source');
    return granted([arm], [path, source.uri, allowed, 'have it allowed, or put the model in Git']);
  });
};

/** Fields that reach beyond a model, which REST may not set with any key. */
const UNSPOKEN = ['overrides', 'serviceAccountAnnotations'] as const;

const unspoken: PolicyRule = ({ spec }: Subject) =>
  UNSPOKEN.flatMap((field) => {
    const value = spec[field];
    if (Object.keys(value).length === 0) return [];
    const allowed = 'absent in a definition by REST, whatever the key';
    return granted(spec.arms, [field, value, allowed, 'put it in Git']);
  });

export const GRANT_RULES: readonly PolicyRule[] = [secrets, claims, unspoken];
