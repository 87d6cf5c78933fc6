import { mayUse } from '../../auth';
import type { CallResponse, ApiCall } from '../define-call';
import { defineCall } from '../define-call';
import type { ControlContext } from '../context';
import {
  detailedSchema,
  healthSchema,
  liveSchema,
  readySchema,
  startupSchema,
} from '../health-schemas';
import {
  detailedHealth,
  isReady,
  overallHealth,
  readyChecks,
  startupOf,
  uptimeOf,
} from '../health-view';

const now = ({ clock }: ControlContext): string => new Date(clock.now()).toISOString();

function health(context: ControlContext): CallResponse {
  const status = overallHealth(context);
  const { version } = context;
  const body = { status, version, uptime: uptimeOf(context), timestamp: now(context) };
  return { status: status === 'unhealthy' ? 503 : 200, body };
}

export function live(context: ControlContext): CallResponse {
  return { status: 200, body: { status: 'alive', timestamp: now(context) } };
}

export function ready(context: ControlContext): CallResponse {
  const status = isReady(context) ? 'ready' : 'not_ready';
  const body = { status, checks: readyChecks(context) };
  return { status: status === 'ready' ? 200 : 503, body };
}

function startup(context: ControlContext): CallResponse {
  const status = startupOf(context);
  return { status: status === 'started' ? 200 : 503, body: { status } };
}

/** The documented paths, and the same call below `/health` for probes. */
const at = (name: string) =>
  ({ path: `/api/v1/health/${name}`, alias: `/health/${name}` }) as const;

const common = { method: 'get', tag: 'Health', errors: [] } as const;

export const healthCalls: readonly ApiCall[] = [
  defineCall<undefined, undefined>({
    ...common,
    ...at(''),
    access: 'open',
    summary: 'Is the service healthy?',
    description:
      'degraded (200): a model is unhealthy, a definition has faults, the view of the cluster is old, or the audit record cannot be written.',
    answers: { 200: healthSchema, 503: healthSchema },
    handle: health,
  }),
  defineCall<undefined, undefined>({
    ...common,
    ...at('live'),
    access: 'open',
    summary: 'Does the process answer?',
    answers: { 200: liveSchema },
    handle: live,
  }),
  defineCall<undefined, undefined>({
    ...common,
    ...at('ready'),
    access: 'open',
    summary: 'May requests be sent here? Does not depend on any model.',
    answers: { 200: readySchema, 503: readySchema },
    handle: ready,
  }),
  defineCall<undefined, undefined>({
    ...common,
    ...at('startup'),
    access: 'open',
    summary: 'Has the service started?',
    answers: { 200: startupSchema, 503: startupSchema },
    handle: startup,
  }),
  defineCall<undefined, undefined>({
    ...common,
    ...at('detailed'),
    access: 'read',
    summary: 'Every model, arm and replica; watches, queues, memory',
    answers: { 200: detailedSchema, 503: detailedSchema },
    handle: (context, { caller }) => ({
      status: overallHealth(context) === 'unhealthy' ? 503 : 200,
      body: detailedHealth(context, (id) => mayUse(caller, id)),
    }),
  }),
];
