import { canonical, quantityValue } from '../../spec';
import type { KubeObject } from '../../objects';
import { valueAt } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { quoted } from './rule';

/** A waiver that ends sooner fails a later pull request, which has nothing to do with it. */
const SOON_DAYS = 14;

/** Days from one date to another, both as `YYYY-MM-DD`. */
function daysBetween(from: string, to: string): number {
  const time = (date: string): number => {
    const [year = 0, month = 1, day = 1] = date.split('-').map(Number);
    return daysSinceEpoch(year, month, day);
  };
  return time(to) - time(from);
}

/** Proleptic Gregorian calendar; by Howard Hinnant’s `days_from_civil`. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const leaps = Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100);
  return era * 146_097 + yearOfEra * 365 + leaps + dayOfYear;
}

export const waiverEnds: PlanRule = {
  id: 'waiver-ends',
  severity: 'low',
  when: `a waiver ends within ${SOON_DAYS} days`,
  check: ({ after, today }) =>
    (after?.spec?.waivers ?? []).flatMap(({ rule, until }, index): readonly FoundRisk[] => {
      const days = today === undefined ? Number.POSITIVE_INFINITY : daysBetween(today, until);
      if (days < 0 || days > SOON_DAYS) return [];
      return [
        {
          path: `waivers[${index}]`,
          reason: `the waiver of ${quoted(rule)} ends on ${until}; after that, checks fail again`,
          fix: 'correct the cause, or renew it in this change',
        },
      ];
    }),
};

export const waiverAdded: PlanRule = {
  id: 'waiver-added',
  severity: 'low',
  when: 'a finding is silenced that was not before',
  check: ({ before, after }) => {
    const old = new Set(before?.spec?.waivers.map(({ rule }) => rule));
    return (after?.spec?.waivers ?? [])
      .filter(({ rule }) => !old.has(rule))
      .map(({ rule, reason, until }) => ({
        path: 'waivers',
        reason: `${quoted(rule)} is silenced until ${until}: ${quoted(reason)}`,
        fix: 'review the reason',
      }));
  },
};

const text = (value: unknown): string => JSON.stringify(canonical(value)) ?? '';

/** Fields that the API server refuses to change. */
const IMMUTABLE: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Deployment: [['spec', 'selector']],
  Job: [
    ['spec', 'template'],
    ['spec', 'completions'],
    ['spec', 'completionMode'],
  ],
  PersistentVolumeClaim: [
    ['spec', 'accessModes'],
    ['spec', 'storageClassName'],
    ['spec', 'volumeName'],
  ],
  Service: [['spec', 'clusterIP']],
};

function refusedFields(before: KubeObject, after: KubeObject): readonly string[] {
  const paths = new Map(Object.entries(IMMUTABLE)).get(after.kind) ?? [];
  const changed = paths.filter(
    (path) => text(valueAt(before, ...path)) !== text(valueAt(after, ...path)),
  );
  const size = (object: KubeObject): number =>
    quantityValue(String(valueAt(object, 'spec', 'resources', 'requests', 'storage')));
  const isSmaller = after.kind === 'PersistentVolumeClaim' && size(after) < size(before);
  return [
    ...changed.map((path) => path.join('.')),
    ...(isSmaller ? ['spec.resources.requests.storage'] : []),
  ];
}

export const immutableField: PlanRule = {
  id: 'immutable-field',
  severity: 'high',
  when: 'a field changes that Kubernetes refuses to change: the apply fails',
  check: ({ before, after }) => {
    const key = ({ kind, metadata }: KubeObject): string => `${kind} ${metadata.name}`;
    const old = new Map(before?.objects.map((object) => [key(object), object]));
    return (after?.objects ?? []).flatMap((object) => {
      const had = old.get(key(object));
      const isSamePlace = had?.metadata.namespace === object.metadata.namespace;
      if (had === undefined || !isSamePlace) return [];
      return refusedFields(had, object).map((path) => ({
        path,
        reason: `Kubernetes refuses another ${quoted(path)} of ${quoted(key(object))}: the apply fails`,
        fix: 'leave it, or delete the object first and accept that it is gone meanwhile',
      }));
    });
  },
};

export const namespaceMoved: PlanRule = {
  id: 'namespace-moved',
  severity: 'high',
  when: 'a model moves to another namespace: its pods start anew there while those here go',
  check: ({ before, after }) => {
    const [old, next] = [before, after].map((state) => state?.objects[0]?.metadata.namespace);
    if (old === undefined || next === undefined || old === next) return [];
    return [
      {
        path: 'environment.namespace',
        reason: `all its objects move from ${quoted(old)} to ${quoted(next)}: Secrets, claims and quotas stay behind, and nothing waits for the new pods`,
        fix: 'run both for a while: a second environment, then remove the first',
      },
    ];
  },
};
