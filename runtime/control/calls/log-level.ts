import type { z } from 'zod';
import type { ControlContext } from '../context';
import type { ApiCall, CallResponse } from '../define-call';
import { defineCall } from '../define-call';
import { logLevelBody, logLevelSchema } from '../schemas';

function shown({ logLevel }: ControlContext): CallResponse {
  const { level, configured, endsAt } = logLevel.state();
  const ends = endsAt === undefined ? null : new Date(endsAt).toISOString();
  return { status: 200, body: { level, configured, ends_at: ends } };
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
  defineCall<z.output<typeof logLevelBody>, undefined>({
    ...COMMON,
    method: 'put',
    action: 'log_level',
    // It helps to find out why the record cannot be written.
    isRelief: () => true,
    summary: 'Change the log level of this router, for a while',
    description: 'Other routers keep theirs. A restart ends it as well.',
    body: logLevelBody,
    handle: (context, { body }) => {
      context.logLevel.set(body.level, body.seconds);
      return shown(context);
    },
  }),
];
