import type { z } from 'zod';
import type { ControlContext } from '../context';
import type { ApiCall, CallResponse } from '../define-call';
import { defineCall } from '../define-call';
import { Problem } from '../problem';
import { logLevelBody, logLevelSchema } from '../schemas';
import { isLessVerbose } from '../timed-level';

function shown({ logLevel }: ControlContext): CallResponse {
  const { level, configured, endsAt } = logLevel.state();
  const ends = endsAt === undefined ? null : new Date(endsAt).toISOString();
  return { status: 200, body: { level, configured, ends_at: ends } };
}

type LevelBody = z.output<typeof logLevelBody>;

/** @throws Problem INVALID_REQUEST for a level that would hide lines without an end */
function requireEnd({ logLevel }: ControlContext, { level, seconds }: LevelBody): void {
  const { configured } = logLevel.state();
  if (seconds !== undefined || !isLessVerbose(level, configured)) return;
  throw new Problem(
    'INVALID_REQUEST',
    `seconds: absent, must be from 1 to 86400 with ${level}, which logs less than the configured ${configured}: add seconds, or change logging.level`,
  );
}

const COMMON = {
  path: '/api/v1/log-level',
  access: 'admin',
  tag: 'Health',
  answers: { 200: logLevelSchema },
  errors: [],
} as const;

/** The log of this router; each has its own. */
export const logLevelCalls: readonly ApiCall[] = [
  defineCall<undefined, undefined>({
    ...COMMON,
    method: 'get',
    summary: 'The log level of this router',
    handle: shown,
  }),
  defineCall<LevelBody, undefined>({
    ...COMMON,
    method: 'put',
    action: 'log_level',
    recordOf: ({ level }) => ({ level }),
    // A verbose log helps to find out why the record cannot be written; another level hides it.
    isRelief: ({ logLevel }, { body }) => !isLessVerbose(body.level, logLevel.state().configured),
    summary: 'Change the log level of this router, for a while',
    description:
      'Other routers keep theirs. A restart ends it as well. A level that logs less than the configured one needs `seconds`.',
    body: logLevelBody,
    handle: (context, { body }) => {
      requireEnd(context, body);
      context.logLevel.set(body.level, body.seconds);
      return shown(context);
    },
  }),
];
