import type { Arm, ModelSpec } from '../../../lib/spec';
import type { PolicyContext } from './context';
import { hostTrouble } from './hosts';
import type { Place, Violation } from './shape';
import { below, violation } from './shape';

const ROOT: Place = { object: 'definition', path: '' };

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Fields by which a definition reaches beyond data: they change what a container is and runs. */
const ADMIN_FIELDS = ['overrides', 'command', 'args'] as const;

/** As written: without defaults, keys sorted. */
function written(spec: ModelSpec | undefined, field: string): unknown {
  const value = spec?.definition[field];
  return same(value, {}) || same(value, []) ? undefined : value;
}

/**
 * Fields that need the scope admin and are set or changed. What an administrator has set stays
 * while somebody else changes the rest; anybody may take it away.
 */
export function presumedFields(spec: ModelSpec, before: ModelSpec | undefined): readonly string[] {
  return ADMIN_FIELDS.filter((field) => {
    const value = written(spec, field);
    return value !== undefined && !same(value, written(before, field));
  });
}

function adminFields({ spec, before, admin }: PolicyContext): readonly Violation[] {
  if (admin) return [];
  const allowed =
    before === undefined ? 'absent without the scope admin' : 'as it was, without the scope admin';
  return presumedFields(spec, before).flatMap((field) =>
    violation(
      below(ROOT, field),
      written(spec, field),
      allowed,
      'leave it, or ask an administrator',
    ),
  );
}

function armPlace({ arms }: ModelSpec, arm: Arm): Place {
  const index = arms.findIndex(({ name }) => name === arm.name) - 1;
  return index < 0 ? ROOT : below(below(ROOT, 'candidates'), index);
}

/** Stores are asked by their scheme, or at the endpoint that is named. */
function hostViolations(context: PolicyContext, arm: Arm): readonly Violation[] {
  const { source } = arm;
  if (source === undefined) return [];
  const place = below(armPlace(context.spec, arm), 'repository_url');
  const asked = [
    [source.uri, place],
    [source.endpoint ?? '', below(place, 'endpoint')],
  ] as const;
  return asked.flatMap(([uri, at]) => {
    const trouble = hostTrouble(uri, context.allowedHosts);
    return trouble === undefined ? [] : violation(at, trouble.got, trouble.allowed, trouble.fix);
  });
}

/** A definition by REST names a file and does not bring it; only files that are known are taken. */
function fileViolations({ spec, knownFiles }: PolicyContext, arm: Arm): readonly Violation[] {
  const { source } = arm;
  if (source?.scheme !== 'file') return [];
  if (source.content !== undefined && knownFiles.has(source.content.sha256)) return [];
  return violation(
    below(armPlace(spec, arm), 'repository_url'),
    source.uri,
    'a file that lies beside a definition in the service’s folder',
    'push it to a store and name that: https://…, s3://…, oci://…',
  );
}

export function definitionViolations(context: PolicyContext): readonly Violation[] {
  const { arms } = context.spec;
  return [
    ...adminFields(context),
    ...arms.flatMap((arm) => [...hostViolations(context, arm), ...fileViolations(context, arm)]),
  ];
}
