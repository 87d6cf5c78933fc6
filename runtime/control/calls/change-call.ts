import type { z } from 'zod';
import type { ChangeResult } from '../change';
import type { ApiCall, CallRequest } from '../define-call';
import { defineCall } from '../define-call';
import { changedSchema, changeQuery } from '../schemas';

type Query = z.output<typeof changeQuery>;

export type ChangeCallRequest<B> = CallRequest<B, Query>;

/** What calls that change a stored model have in common. */
const COMMON = {
  method: 'post',
  access: 'write',
  query: changeQuery,
  conditional: true,
  answers: { 202: changedSchema },
  errors: ['INVALID_MODEL_CONFIG', 'READ_ONLY', 'FIELD_CONFLICT', 'REVISION_CONFLICT'],
} as const;

type ChangeCall<B> = Omit<ApiCall<B, Query>, keyof typeof COMMON> &
  Partial<Pick<ApiCall, 'method' | 'answers' | 'errors'>>;

/** A call that changes a stored model; `errors` are those beside the errors of every change. */
export const defineChange = <B>({ errors = [], ...call }: ChangeCall<B>): ApiCall =>
  defineCall<B, Query>({ ...COMMON, ...call, errors: [...errors, ...COMMON.errors] });

const UNCHANGED = 'the definition is the same; nothing was changed';

/** The message for a change that may have changed nothing. */
export function said({ changed }: ChangeResult, message: string): string {
  return changed ? message : UNCHANGED;
}
