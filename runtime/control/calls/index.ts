import type { ApiCall } from '../define-call';
import { deploy } from './deploy';
import { healthCalls } from './health';
import { logLevelCalls } from './log-level';
import { observed } from './observed';
import { abort, promote } from './promote';
import { explain, get, list, status, versions } from './read';
import { remove } from './remove';
import { rolloutCalls } from './rollout';
import { scale } from './scale';
import { rollback, traffic, update } from './update';

/** Every call of the management API, in the order of the document. */
export const CALLS: readonly ApiCall[] = [
  deploy,
  list,
  get,
  status,
  update,
  remove,
  scale,
  versions,
  rollback,
  traffic,
  promote,
  abort,
  ...rolloutCalls,
  explain,
  observed,
  ...healthCalls,
  ...logLevelCalls,
];
