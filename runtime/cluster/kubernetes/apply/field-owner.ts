import { DEFINITION_KEY, MANAGER } from '../../../../lib/objects';
import { OWN_MANAGERS } from '../../port';
import type { KubeObject, ManagedFields } from '../client/api';
import { entryOf } from '../../../../lib/spec/entry';

type Fields = Readonly<Record<string, unknown>>;

/** Field manager of `kubectl apply` without `--server-side`. */
const CLIENT_SIDE = 'kubectl-client-side-apply';

/** The field manager of a writer's changes: all writers of the service share one. */
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

/** An apply that only adds its owner is recorded without a time. */
const timeOf = ({ time }: ManagedFields): number =>
  time === undefined ? Infinity : Date.parse(time);

/**
 * The writer of the definition. A takeover removes the other owners (`takenOver`), so an owner
 * beside the service came later: the model was handed back.
 */
export function definitionWriter(object: KubeObject): ManagedFields | undefined {
  const foreign = ({ manager }: ManagedFields): number => Number(manager !== MANAGER);
  const later = (a: ManagedFields, b: ManagedFields): number =>
    timeOf(a) === timeOf(b) ? 0 : timeOf(b) - timeOf(a);
  return entriesOf(object)
    .filter(ownsDefinition)
    .toSorted((a, b) => foreign(b) - foreign(a) || later(a, b))[0];
}

/** Whether a field manager owns a field of the object; only then it may delete the object. */
export function isWrittenBy(object: KubeObject, manager: string): boolean {
  return entriesOf(object).some((one) => one.manager === manager && one.subresource === undefined);
}

/** Fields that either of two managers owns. */
export function unionOfFields(a: Fields, b: Fields): Fields {
  const both = Object.entries(b).map(([key, value]) => {
    const other = entryOf(a, key);
    return [key, isFields(other) && isFields(value) ? unionOfFields(other, value) : value] as const;
  });
  return { ...a, ...Object.fromEntries(both) };
}

/** Fields of an apply of the whole object; fields of controllers and editors are not counted. */
function isApplied({ manager, operation, subresource }: ManagedFields): boolean {
  return subresource === undefined && (operation === 'Apply' || manager === CLIENT_SIDE);
}

/**
 * The owners of an object after a takeover: `manager` owns every applied field, so that its next
 * apply drops fields that the new definition no longer has. Undefined: it owns them already.
 */
export function takenOver(
  object: KubeObject,
  manager: string,
): readonly ManagedFields[] | undefined {
  const applied = entriesOf(object).filter(isApplied);
  if (applied.every((one) => one.manager === manager && one.operation === 'Apply'))
    return undefined;
  const [first] = applied;
  const fieldsV1 = applied.reduce<Fields>((all, one) => unionOfFields(all, one.fieldsV1 ?? {}), {});
  const rest = entriesOf(object).filter((one) => !isApplied(one));
  return first === undefined
    ? rest
    : [{ ...first, manager, operation: 'Apply', fieldsV1 }, ...rest];
}
