import { isSameCost } from '../cost';
import type {
  CostNow,
  FieldChange,
  ModelPlan,
  Move,
  ObjectChange,
  Plan,
  PlanCost,
  Restart,
  Traffic,
  TrafficShare,
} from '../schema';

// The words of a plan; printers decide how they look. Values are set as `code`.

const code = (value: string): string => `\`${value.replaceAll('`', '’')}\``;

/** Characters that act on what is around them: codes of control, and marks of direction. */
// oxlint-disable-next-line no-control-regex
const ACTIVE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** Such characters as escapes; a definition may hold any. */
export function visible(text: string): string {
  return text.replaceAll(
    ACTIVE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `1 pod`, `2 pods`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/** `2`, or `2 to 4`. */
function rangeText(
  { min, max }: Restart['pods'],
  format: (value: number) => string = String,
): string {
  const [low, high] = [format(min), format(max)];
  return low === high ? low : `${low} to ${high}`;
}

/** `45 s`, `20 min 20 s`, `3 h 5 min`. */
function durationText(seconds: number): string {
  const [hours, rest] = [Math.floor(seconds / 3600), seconds % 3600];
  const [minutes, left] = [Math.floor(rest / 60), rest % 60];
  if (hours > 0) return minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`;
  if (minutes === 0) return `${left} s`;
  return left === 0 ? `${minutes} min` : `${minutes} min ${left} s`;
}

const KIND: Readonly<Record<TrafficShare['role'], string>> = {
  traffic: '',
  shadow: ' copied',
  rollout: ' and rising',
};

function shareText(share: TrafficShare | undefined): string {
  if (share === undefined) return '–';
  return `${code(share.version)} ${share.percent} %${KIND[share.role]}`;
}

/** The shares of an arm before and after. */
export interface ShareLine {
  readonly arm: string;
  readonly before: string;
  readonly after: string;
}

export function shareLines({ before, after }: Traffic): readonly ShareLine[] {
  const of = (shares: readonly TrafficShare[], arm: string): string =>
    shareText(shares.find((share) => share.arm === arm));
  const arms = [...new Set([...after, ...before].map(({ arm }) => arm))];
  return arms.map((arm) => ({ arm, before: of(before, arm), after: of(after, arm) }));
}

function moveText({ percent, from, to }: Move, reshuffled: boolean): string {
  const about = reshuffled ? 'about ' : '';
  const callers = `${about}${percent} % of the callers`;
  if (from.arm === to.arm) {
    return `${callers} stay with ${code(to.arm)} and get ${code(to.version)} instead of ${code(from.version)}`;
  }
  const versions =
    from.version === to.version
      ? `which runs ${code(to.version)} as well`
      : `${code(from.version)} → ${code(to.version)}`;
  return `${callers} move from ${code(from.arm)} to ${code(to.arm)}, ${versions}`;
}

/** Who moves, a line each. */
export function moveLines({ moves, reshuffled, key, before, after }: Traffic): readonly string[] {
  if (moves.length === 0) {
    return before.length > 0 && after.length > 0 ? ['no caller gets another version'] : [];
  }
  const lines = moves.map((move) => moveText(move, reshuffled));
  const isSplit = moves.some(({ from, to }) => from.arm !== to.arm);
  return isSplit ? [...lines, `callers are told apart by ${code(key)}`] : lines;
}

const VERB_OF_ONE = { roll: 'rolls', start: 'starts', stop: 'ends' } as const;
const VERB_OF_MANY = { roll: 'roll', start: 'start', stop: 'end' } as const;

export function restartText({ arm, kind, pods, seconds, because }: Restart): string {
  const isOne = pods.max === 1;
  const verb = isOne ? VERB_OF_ONE[kind] : VERB_OF_MANY[kind];
  const what = `${code(arm)}: ${rangeText(pods)} ${isOne ? 'pod' : 'pods'} ${verb}`;
  const time = rangeText(seconds, durationText);
  if (kind === 'stop') return what;
  if (kind === 'start') return `${what}, within ${time}`;
  return `${what}, within ${time}: ${because.map(code).join(', ')}`;
}

const money = (amount: number): string => amount.toFixed(2);

/** `35.45 to 70.90`; a lower bound says that it is one. */
function boundText(amount: PlanCost['before'], unknown: readonly string[]): string {
  return `${unknown.length === 0 ? '' : 'at least '}${rangeText(amount, money)}`;
}

function missingText(unknown: readonly string[]): string {
  const names = [...new Set(unknown)].map(code);
  return names.length === 0 ? '' : `; without a price: ${names.join(', ')}`;
}

/** `35.45 → 70.90 to 141.80 USD per month`. */
function costText({ before, after, currency, unknown }: PlanCost): string {
  const change = `${boundText(before, unknown.before)} → ${boundText(after, unknown.after)}`;
  return `${change} ${currency} per month${missingText([...unknown.before, ...unknown.after])}`;
}

/** `now 35.45 USD per month, 0.0012 per 1,000 requests`. */
function nowText({ monthly, per_1000_requests: each, currency, unknown }: CostNow): string {
  const thousand = each === null ? '' : `, ${rangeText(each)} per 1,000 requests`;
  const amount = boundText(monthly, unknown);
  return `now ${amount} ${currency} per month${thousand}${missingText(unknown)}`;
}

/** What a model costs before, after and now. */
export function costLines({ cost, now }: ModelPlan): readonly string[] {
  return [
    ...(cost === undefined ? [] : [costText(cost)]),
    ...(now === undefined ? [] : [nowText(now)]),
  ];
}

/** What all models cost, where it changes; a line each environment. */
export function totalLines({ costs }: Plan): readonly string[] {
  return costs
    .filter((cost) => !isSameCost(cost))
    .map(({ environment, ...cost }) => `All models in ${code(environment)}: ${costText(cost)}`);
}

export const NO_RESTART = 'no pod restarts';

export const SIGN: Readonly<Record<ObjectChange['action'], string>> = {
  create: '+',
  update: '~',
  replace: '±',
  delete: '-',
};

export function objectName({ kind, name, namespace }: ObjectChange): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** `spec.maxReplicas: 4 → 8`; without the lines of a long text. */
export function fieldText({
  path,
  before = 'nothing',
  after = 'nothing',
  lines,
}: FieldChange): string {
  return lines === undefined ? `${path}: ${before} → ${after}` : `${path}:`;
}

const VERB = { create: 'is new', update: 'changes', delete: 'goes' } as const;

export const actionText = ({ action }: ModelPlan): string => VERB[action];

const objectCounts = ({ create, update, delete: gone }: Plan['totals']): string =>
  `${create} to create, ${update} to change, ${gone} to delete`;

/** The first sentence: how many models change. */
export function headline({ models, unchanged, totals, shared }: Plan): string {
  const ids = new Set(models.map(({ model_id }) => model_id)).size;
  if (ids === 0 && shared.length === 0) {
    return `No effect: nothing changes (${counted(unchanged, 'model')})`;
  }
  const others = unchanged === 0 ? '' : `, ${unchanged} ${unchanged === 1 ? 'does' : 'do'} not`;
  const change = ids === 1 ? 'changes' : 'change';
  return `${counted(ids, 'model')} ${change}${others}; objects: ${objectCounts(totals)}`;
}

/** Findings and notes that are shown; JSON has all. */
const MAX_LISTED = 20;

export function shortList(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_LISTED) return lines;
  return [...lines.slice(0, MAX_LISTED), `… and ${lines.length - MAX_LISTED} more`];
}

/** The last line: what was compared by what. */
export function footer({ base, library, prices }: Plan): string {
  const origin = prices.length === 0 ? '' : `; prices: ${prices.map(code).join(', ')}`;
  return `Compared with ${code(base)} by ai-model-service ${library}${origin}`;
}

/** Hashes of the definition: `9e0afdcfee8b8793 → 1b2c…`. */
export function hashText({ hash: { before = 'none', after = 'none' } }: ModelPlan): string {
  return `definition ${before} → ${after}`;
}
