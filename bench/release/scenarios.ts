import type { Rollout } from '../../lib/spec';
import type { ByArm } from '../../runtime/core/release/evidence';

/** What callers and arms do in a simulated rollout. */

export type ArmName = keyof ByArm;

export interface Scenario {
  readonly name: string;
  /** New callers per second. */
  readonly perSecond: number;
  readonly unit?: Rollout['unit'];
  /** Requests of one caller; a heavy one has many. Default: one. */
  readonly requestsOf?: (caller: number) => number;
  /** These callers only, again and again, each with a health of its own. */
  readonly fixedCallers?: number;
  /** Probability that a request is harmed. */
  readonly harm: (arm: ArmName, second: number, caller: number) => number;
  /** Seconds until a harmed request ends. */
  readonly lateness?: (arm: ArmName) => number;
  /** The candidate's share in hundredths of a percent. */
  readonly share: (second: number) => number;
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
/** Twenty minutes of 4 %, twenty minutes of 0.2 %. */
const swing = (second: number): number => (Math.floor(second / 1200) % 2 === 0 ? 0.04 : 0.002);
const five = (): number => 500;

/** Candidates that equal stable: whatever aborts them is wrong. */
export const HARMLESS: readonly Scenario[] = [
  { name: 'constant 0.5 %', perSecond: 20, harm: () => 0.005, share: five },
  { name: 'constant 2 %, ramp', perSecond: 20, harm: () => 0.02, share: ramp },
  { name: 'swinging base rate, ramp', perSecond: 20, harm: (_, t) => swing(t), share: ramp },
  { name: 'drift of both arms', perSecond: 20, harm: (_, t) => 0.05 * (t / HOUR), share: ramp },
  {
    name: 'drift of both arms, by request',
    perSecond: 20,
    unit: 'request',
    harm: (_, t) => 0.05 * (t / HOUR),
    share: ramp,
  },
  {
    name: 'heavy callers',
    perSecond: 5,
    requestsOf: (caller) => (caller % 20 === 0 ? 60 : 1),
    harm: (_arm, _t, caller) => (caller % 20 === 0 && caller % 3 === 0 ? 0.5 : 0.005),
    share: five,
  },
  {
    name: '200 callers of unequal health',
    perSecond: 10,
    fixedCallers: 200,
    harm: (_arm, _t, caller) => (caller % 10 === 0 ? 0.4 : 0.005),
    share: ramp,
  },
  {
    name: 'stable fails 10 s later',
    perSecond: 20,
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 10 : 0),
    share: ramp,
  },
  {
    name: 'candidate fails 10 s later',
    perSecond: 20,
    harm: () => 0.02,
    lateness: (arm) => (arm === 'stable' ? 0 : 10),
    share: ramp,
  },
  {
    name: 'caps change the share',
    perSecond: 20,
    harm: (_, t) => swing(t),
    share: (t) => 300 + 100 * (Math.floor(t / 30) % 9),
  },
  { name: 'by request', perSecond: 20, unit: 'request', harm: () => 0.01, share: ramp },
  {
    name: 'three routers, uneven',
    perSecond: 20,
    harm: (_, t) => swing(t),
    share: ramp,
    routers: [0.7, 0.2, 0.1],
  },
  {
    name: 'leader killed every 5 min',
    perSecond: 20,
    harm: () => 0.02,
    share: ramp,
    routers: [0.6, 0.4],
    killEvery: 300,
  },
  { name: 'a full set', perSecond: 40, harm: () => 0.1, share: five },
  {
    name: 'a router silent for a minute',
    perSecond: 20,
    harm: () => 0.02,
    share: ramp,
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
