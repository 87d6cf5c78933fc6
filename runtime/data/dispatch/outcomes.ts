import { retryAfterSeconds } from '../../core/routing/admission';
import { ERROR_STATUS, SHED_CODE, statusOfAttempt } from '../../core/routing/error-codes';
import type { Outcome, ShedReason, SpillReason, AttemptResult } from '../../core/routing/outcome';
import type { ModelRoute, RoutingTable, TableHolder } from '../../core/routing/table';
import type { Tuning } from '../../core/routing/tuning';
import { addToWindow } from '../../core/routing/window';
import type { ArmState, Seat, States } from './arm-state';
import type { Avoided } from './endpoints';
import type { Suspects } from './suspects';
import type { Clock, Waiter } from './queue';
import { waitOf } from './queue';
import type { Job, JobResult } from './job';

export interface DispatcherOptions {
  readonly table: TableHolder;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called exactly once for every inference, when its last byte is out or it was refused. */
  readonly onOutcome: (outcome: Outcome) => void;
  /** Milliseconds our own event loop stood still just now; excuses replicas from timeouts. */
  readonly lagMs?: () => number;
  readonly tuning?: Tuning;
  /** Told when requests of an arm begin to be held because none of its replicas is up. */
  readonly onHeld?: ((model: string, arm: string) => void) | undefined;
}

type Arm = ArmState<Waiter>;

export interface Context extends Omit<DispatcherOptions, 'lagMs'> {
  readonly tuning: Tuning;
  readonly lagMs: () => number;
  readonly states: States<Waiter>;
  readonly suspects: Suspects;
  /** The table the states were laid under. */
  known: RoutingTable | undefined;
  active: number;
}

/** One job on its way. */
export interface Ticket {
  readonly job: Job;
  readonly startedAt: number;
  readonly deadline: number;
  arm: Arm | undefined;
  /** The replica that has it, or had it. */
  seat: Pick<Seat, 'replica'> | undefined;
  spilled: SpillReason | undefined;
  avoid: Avoided | undefined;
  tries: number;
  queuedMs: number;
  firstByteMs: number | undefined;
  failure: string | undefined;
}

/** An answer has gone to the caller, or broke on its way. */
export function closed(
  context: Context,
  ticket: Ticket,
  status: number,
  end: AttemptResult,
  now: number,
): void {
  if (end.kind !== 'answered') ticket.failure = textOf(end);
  const aborted = end.kind === 'aborted';
  // What broke off was no answer, whatever its head said.
  conclude(
    context,
    ticket,
    end.kind === 'answered' ? status : statusOfAttempt(end),
    { aborted },
    now,
  );
}

export function failed(
  context: Context,
  ticket: Ticket,
  result: Exclude<AttemptResult, { kind: 'answered' }>,
): JobResult {
  ticket.failure = textOf(result);
  conclude(context, ticket, statusOfAttempt(result), { aborted: result.kind === 'aborted' });
  return { kind: 'failed', arm: ticket.arm?.route, result, tries: ticket.tries };
}

export function refused(context: Context, ticket: Ticket, reason: ShedReason): JobResult {
  const { arm, job } = ticket;
  if (arm !== undefined && job.isJoint !== true) arm.shed[reason] = (arm.shed[reason] ?? 0) + 1;
  const waitMs = arm === undefined ? 0 : waitOf(arm, job.priority);
  conclude(context, ticket, ERROR_STATUS[SHED_CODE[reason]], { shed: reason });
  return {
    kind: 'refused',
    arm: arm?.route,
    reason,
    retryAfterSeconds: retryAfterSeconds(reason, waitMs),
  };
}

/** Short words for logs; never anything of the request. */
export function textOf(result: AttemptResult): string {
  if (result.kind === 'answered') return `answered ${result.status}`;
  return 'message' in result ? `${result.kind}: ${result.message}` : result.kind;
}

const stableOf = (route: ModelRoute) => route.arms.get(route.shares[0]?.arm ?? '');

/** The one place where a job ends in the accounts. */
function conclude(
  context: Context,
  ticket: Ticket,
  status: number,
  { aborted = false, shed }: { readonly aborted?: boolean; readonly shed?: ShedReason },
  now = context.clock.now(),
): void {
  const { job, arm, failure, spilled, tries, startedAt } = ticket;
  const durationMs = now - startedAt;
  if (job.isJoint === true) return;
  context.active -= 1;
  if (arm !== undefined && tries > 0 && !aborted && shed === undefined) {
    addToWindow(arm.window, now, durationMs, status >= 500 || failure !== undefined);
    if (failure !== undefined) arm.lastFailure = { at: now, message: failure };
  }
  // During a roll some replicas run the version before: it is the replica's own that counts.
  const route = arm?.route ?? stableOf(job.model);
  context.onOutcome({
    model: job.model.id,
    arm: route?.name ?? '',
    version: ticket.seat?.replica.version ?? route?.version ?? '',
    status,
    durationMs,
    queuedMs: ticket.queuedMs,
    firstByteMs: ticket.firstByteMs,
    tries,
    traceId: job.traceId,
    shed,
    spilled,
    failure,
  });
}
