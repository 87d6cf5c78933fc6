import type { Arm } from '../../spec';
import { serverFacts, STABLE } from '../../spec';
import type { ModelChange } from '../change';
import type { Signature } from '../signature';
import { signatureOf } from '../signature';
import type { FoundRisk, PlanRule } from './rule';
import { listed, quoted } from './rule';

/** Arms that may answer callers, and the stable arm that answered them. */
function answering({ before, after }: ModelChange): readonly (readonly [Arm, Arm])[] {
  const stable = before?.spec?.arms[0];
  if (stable === undefined) return [];
  const arms = after?.spec?.arms.filter(({ role }) => role.kind !== 'shadow') ?? [];
  const known = new Set(before?.spec?.arms.slice(1).map(({ name }) => name));
  // What a candidate differs in was said when it came.
  return arms.filter(({ name }) => !known.has(name)).map((arm) => [stable, arm] as const);
}

export const protocolChanged: PlanRule = {
  id: 'protocol-changed',
  severity: 'high',
  when: 'an arm speaks another protocol than stable did: calls in the old one may be refused',
  check: (change) =>
    answering(change).flatMap(([stable, arm]): readonly FoundRisk[] => {
      const [was, is] = [stable, arm].map(({ server }) => serverFacts(server).protocol);
      if (was === is) return [];
      return [
        {
          path: 'server',
          reason: `callers used ${quoted(was)}, and ${quoted(arm.name)} speaks ${quoted(is)}: the router transcodes some calls and refuses others`,
          fix: 'compare the endpoints of both servers (docs/inference.md), or make it a model of its own',
        },
      ];
    }),
};

const without = (list: readonly string[], other: readonly string[]): readonly string[] =>
  list.filter((one) => !other.includes(one));

function signatureRisk(old: Signature, next: Signature, arm: Arm): readonly FoundRisk[] {
  const parts = (['inputs', 'outputs'] as const).flatMap((part) => {
    const [gone, fresh] = [without(old[part], next[part]), without(next[part], old[part])];
    if (gone.length === 0 && fresh.length === 0) return [];
    const was = gone.length === 0 ? 'nothing' : listed(gone);
    return [`${part} ${was} became ${fresh.length === 0 ? 'nothing' : listed(fresh)}`];
  });
  if (parts.length === 0) return [];
  return [
    {
      path: 'source',
      reason: `${quoted(arm.name)} has another signature: ${parts.join('; ')}`,
      fix: 'callers must change with it: make it a model of its own, or keep names, types and shapes',
    },
  ];
}

export const signatureChanged: PlanRule = {
  id: 'signature-changed',
  severity: 'high',
  when: 'inputs or outputs of an ONNX model in the repository have other names, types or shapes',
  check: (change) =>
    answering(change).flatMap(([, arm]) => {
      const old = signatureOf(change.before, change.id, STABLE);
      const next = signatureOf(change.after, change.id, arm.name);
      return old === undefined || next === undefined ? [] : signatureRisk(old, next, arm);
    }),
};

export const capabilityRemoved: PlanRule = {
  id: 'capability-removed',
  severity: 'medium',
  when: 'a capability goes that callers may filter by',
  check: ({ before, after }) => {
    if (after?.spec === undefined) return [];
    const gone = without(before?.spec?.capabilities ?? [], after.spec.capabilities);
    if (gone.length === 0) return [];
    return [
      {
        path: 'capabilities',
        reason: `callers that look for ${listed(gone)} no longer find this model`,
        fix: 'keep it while callers ask for it',
      },
    ];
  },
};

/** Limits of requests, with their units. */
const LIMITS = {
  timeoutSeconds: 's',
  maxBodyBytes: 'bytes',
  maxBatchSize: 'items',
} as const;

export const limitsLowered: PlanRule = {
  id: 'limits-lowered',
  severity: 'medium',
  when: 'requests that were answered are refused: a shorter deadline, smaller bodies or batches',
  check: ({ before, after }) => {
    const [old, next] = [before?.spec?.inference, after?.spec?.inference];
    if (old === undefined || next === undefined) return [];
    const names = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
    return names
      .filter((name) => next[name] < old[name])
      .map((name) => ({
        path: `inference.${name}`,
        reason: `requests above ${next[name]} ${LIMITS[name]} are refused, up to ${old[name]} ${LIMITS[name]} were answered`,
        fix: 'compare it with the largest that callers send',
      }));
  },
};

export const retriesAllowed: PlanRule = {
  id: 'retries-allowed',
  severity: 'medium',
  when: 'requests count as idempotent: one that perhaps ran is sent again',
  check: ({ before, after }) => {
    const [old, next] = [before?.spec?.inference, after?.spec?.inference];
    if (old === undefined || next === undefined || old.idempotent || !next.idempotent) return [];
    return [
      {
        path: 'inference.idempotent',
        reason: 'a request whose replica fails is sent to another one, although it may have run',
        fix: 'leave it false where a second run has an effect',
      },
    ];
  },
};
