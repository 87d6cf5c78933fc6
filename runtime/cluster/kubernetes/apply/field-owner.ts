import { DEFINITION_KEY, MANAGER } from '../../../../lib/objects';
import { OWN_MANAGERS } from '../../port';
import type { KubeObject, ManagedFields } from '../client/api';
import { entryOf } from '../../../../lib/spec/entry';

type Fields = Readonly<Record<string, unknown>>;

/** `kubectl apply` without `--server-side` writes as this one. */
const CLIENT_SIDE = 'kubectl-client-side-apply';

/** The field manager that a writer's changes are made under: the service's writers share one. */
export function fieldManagerOf(writer: string): string {
  return OWN_MANAGERS.has(writer) ? MANAGER : writer;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function ownsDefinition({ fieldsV1 }: ManagedFields): boolean {
  const data = fieldsV1?.['f:data'];
  return isFields(data) && Object.hasOwn(data, `f:${DEFINITION_KEY}`);
}

const entriesOf = ({ metadata }: KubeObject): readonly ManagedFields[] =>
  metadata.managedFields ?? [];

/** An apply that only adds its owner, and changes nothing else, is kept without a time. */
const timeOf = ({ time }: ManagedFields): number =>
  time === undefined ? Infinity : Date.parse(time);

/**
 * Who writes the definition. Whoever takes a model over takes its ownership away from the others
 * (`takenOver`), so that another owner beside us came after us: it was handed back.
 */
export function definitionWriter(object: KubeObject): ManagedFields | undefined {
  const foreign = ({ manager }: ManagedFields): number => Number(manager !== MANAGER);
  const later = (a: ManagedFields, b: ManagedFields): number =>
    timeOf(a) === timeOf(b) ? 0 : timeOf(b) - timeOf(a);
  return entriesOf(object)
    .filter(ownsDefinition)
    .toSorted((a, b) => foreign(b) - foreign(a) || later(a, b))[0];
}

/** Has a field manager written anything of it? Only then it may take it away. */
export function isWrittenBy(object: KubeObject, manager: string): boolean {
  return entriesOf(object).some((one) => one.manager === manager && one.subresource === undefined);
}

function union(a: Fields, b: Fields): Fields {
  const both = Object.entries(b).map(([key, value]) => {
    const other = entryOf(a, key);
    return [key, isFields(other) && isFields(value) ? union(other, value) : value] as const;
  });
  return { ...a, ...Object.fromEntries(both) };
}

/** What somebody applied as a whole; what controllers and editors set of an object stays theirs. */
function isApplied({ manager, operation, subresource }: ManagedFields): boolean {
  return subresource === undefined && (operation === 'Apply' || manager === CLIENT_SIDE);
}

/**
 * The owners of an object after it has been taken over: everything that was applied is `manager`'s
 * as if it had applied it, so that its next apply drops what the new definition no longer has.
 * Undefined: it owns everything already.
 */
export function takenOver(
  object: KubeObject,
  manager: string,
): readonly ManagedFields[] | undefined {
  const applied = entriesOf(object).filter(isApplied);
  if (applied.every((one) => one.manager === manager && one.operation === 'Apply'))
    return undefined;
  const [first] = applied;
  const fieldsV1 = applied.reduce<Fields>((all, one) => union(all, one.fieldsV1 ?? {}), {});
  const rest = entriesOf(object).filter((one) => !isApplied(one));
  return first === undefined
    ? rest
    : [{ ...first, manager, operation: 'Apply', fieldsV1 }, ...rest];
}
