import type { Rollout } from '../../lib/spec';
import type { ByArm } from '../../runtime/core/release/evidence';

/** What callers and arms do in a simulated rollout. */

export type ArmName = keyof ByArm;

/**
 * A rule that the simulator can leave out. `rows`: shares are compared each by itself. `callers`:
 * a caller is one trial. `closing`: a trial counts with the others of its second. `one set`: the
 * bound on failing callers holds for both arms together. `used share`: the share that was in force.
 */
export type Rule = 'rows' | 'callers' | 'closing' | 'one set' | 'used share';

export interface Scenario {
  readonly name: string;
  /** New callers per second. */
  readonly perSecond: number;
  readonly unit?: Rollout['unit'];
  /** Requests of one caller; a heavy one has many. Default: one. */
  readonly requestsOf?: (caller: number) => number;
  /** Requests name no caller. */
  readonly isUnnamed?: boolean;
  /** Rules of the rollout. Default: a step that never ends. */
  readonly rules?: object;
  /** These callers only, again and again, each with a health of its own. */
  readonly fixedCallers?: number;
  /** Probability that a request is harmed. */
  readonly harm: (arm: ArmName, second: number, caller: number) => number;
  /** Seconds until a harmed request ends. */
  readonly lateness?: (arm: ArmName) => number;
  /** The candidate's share in hundredths of a percent. */
  readonly share: (second: number) => number;
  /** Probability that the first byte of a request is late. Default: slowness is not judged. */
  readonly slow?: (caller: number) => number;
  /** Parts of the callers that routers get. Default: one router. */
  readonly routers?: readonly number[];
  /** Every so many seconds a router starts again, and a new leader reads what is stored. */
  readonly killEvery?: number;
  /** The last router is not heard in this time. */
  readonly silent?: readonly [from: number, to: number];
}

const HOUR = 3600;
const RAMP = [100, 500, 2500, 5000] as const;
const ramp = (second: number): number =>
  RAMP[Math.min(3, Math.floor((second / HOUR) * RAMP.length))] as number;
/** Rises and falls while the share rises: the pooled counts are then those of two times of day. */
const swing = (second: number): number => (Math.floor(second / 900) % 2 === 0 ? 0.002 : 0.03);
const five = (): number => 500;

const CALM = { perSecond: 5, share: ramp } as const;

/**
 * Candidates that equal stable: whatever aborts them is wrong. Fewer than 512 callers fail within
 * the hour, except in the scenario of a full set: counting would end before the share grows.
 */
export const HARMLESS: readonly Scenario[] = [
  { ...CALM, name: 'constant 0.5 %', harm: () => 0.005, share: five },
  { ...CALM, name: 'constant 2 %, ramp', harm: () => 0.02 },
  { ...CALM, name: 'swinging base rate, ramp', harm: (_, t) => swing(t) },
  { ...CALM, name: 'ramping base rate', harm: (_, t) => 0.04 * (t / HOUR), share: five },
  { ...CALM, name: 'drift of both arms', harm: (_, t) => 0.04 * (t / HOUR) },
  { ...CALM, name: 'drift, by request', unit: 'request', harm: (_, t) => 0.04 * (t / HOUR) },
  {
    name: 'heavy callers, unhealthy and slow',
    perSecond: 1,
    requestsOf: (caller) => (caller % 20 === 0 ? 30 : 1),
    harm: (_arm, _t, caller) => (caller % 60 === 0 ? 0.5 : 0.005),
    slow: (caller) => (caller % 20 === 0 ? 0.6 : 0.03),
    share: () => 2500,
  },
  {
    name: '200 callers of unequal health',
    perSecond: 5,
    fixedCallers: 200,
    harm: (_arm, _t, caller) => (caller % 40 === 0 ? 0.4 : 0.005),
    share: () => 2500,
  },
  {
    ...CALM,
    name: 'stable fails 10 s later',
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 10 : 0),
  },
  {
    name: 'stable fails 25 s later, by request',
    perSecond: 20,
    unit: 'request',
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 25 : 0),
    share: () => 2500,
  },
  {
    name: 'stable fails 2.4 s later, by request',
    perSecond: 20,
    unit: 'request',
    harm: () => 0.1,
    lateness: (arm) => (arm === 'stable' ? 2.4 : 0),
    share: () => 2500,
  },
  {
    ...CALM,
    name: 'candidate fails 10 s later',
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 0 : 10),
  },
  {
    ...CALM,
    name: 'caps change the share',
    harm: (_, t) => swing(t),
    share: (t) => 300 + 100 * (Math.floor(t / 30) % 9),
  },
  { ...CALM, name: 'no keys, by request', unit: 'request', harm: () => 0.01 },
  {
    ...CALM,
    name: 'three routers, uneven',
    harm: (_, t) => swing(t),
    routers: [0.7, 0.2, 0.1],
  },
  {
    ...CALM,
    name: 'leader killed every 5 min',
    harm: () => 0.02,
    routers: [0.6, 0.4],
    killEvery: 300,
  },
  { ...CALM, name: 'a full set', harm: () => 0.3, share: five },
  {
    ...CALM,
    name: 'a router silent for a minute',
    harm: () => 0.02,
    routers: [0.5, 0.5],
    silent: [1800, 1860],
  },
];

/** A candidate that fails; stable fails 0.5 %. One trial per request, as in the table of the docs. */
export const harmful = (perSecond: number, hundredths: number, rate: number): Scenario => ({
  name: `${perSecond} per second at ${hundredths / 100} %, ${rate * 100} % fail`,
  perSecond,
  unit: 'request',
  harm: (arm) => (arm === 'candidate' ? rate : 0.005),
  share: () => hundredths,
});

/** Scenarios in which an abort is wrong, and comes when one rule is left out. */
export const NEEDED: readonly (readonly [rule: Rule, seconds: number, scenario: Scenario])[] = [
  [
    'rows',
    HOUR,
    {
      ...CALM,
      name: 'by night and by day',
      harm: (_, t) => (t < HOUR / 2 ? 0.002 : 0.03),
    },
  ],
  ['callers', HOUR, scenarioOf('200 callers of unequal health')],
  [
    'closing',
    60,
    {
      name: 'late stable',
      perSecond: 100,
      harm: () => 0.1,
      lateness: (arm) => (arm === 'stable' ? 10 : 0),
      share: five,
    },
  ],
  ['one set', 400, { name: 'full', perSecond: 20, harm: () => 0.3, share: () => 1000 }],
  [
    'used share',
    400,
    {
      ...scenarioOf('caps change the share'),
      unit: 'request',
      perSecond: 20,
      harm: () => 0.2,
    },
  ],
];

function scenarioOf(name: string): Scenario {
  const found = HARMLESS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`scenario ${name} is not in the list`);
  return found;
}

const QUICK = {
  rules: { steps: [5, 50, 100], minRequests: 20, minSeconds: 1 },
  share: five,
} as const;

/** Rollouts that nothing may promote: they have no data, or a candidate that fails late. */
export const NOT_PROMOTED: readonly Scenario[] = [
  { ...QUICK, name: 'callers without keys', perSecond: 20, isUnnamed: true, harm: () => 0 },
  { ...QUICK, name: 'no traffic', perSecond: 0, harm: () => 0 },
  {
    ...QUICK,
    name: 'candidate that fails after 25 s',
    perSecond: 100,
    unit: 'request',
    harm: (arm) => (arm === 'candidate' ? 1 : 0),
    lateness: () => 25,
  },
];
