import type { Cause } from './cause';
import { lastLine, quoted, detail } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import { at, createdAt, listAt, numberAt, textAt, timeAt } from '../client/object-fields';
import { configCause } from './config-cause';
import { IMAGE_REASONS, imageCause } from './image-cause';
import { killedCause, unreadyCause } from './probe-cause';

/** The container that loads the artifact (lib/objects/fetch). */
const FETCH = 'artifact';

/** One container of a pod, and the events about the pod. */
interface Inside {
  readonly pod: RawObject;
  readonly noticed: readonly ObjectEvent[];
  /** `containerStatuses[]`. */
  readonly status: RawObject;
  readonly name: string;
  readonly init: boolean;
}

/** Exit codes with a meaning (128 + signal). */
const EXITS: Readonly<Record<number, string>> = {
  132: 'an instruction this CPU does not have; build the image for the CPU of the nodes',
  134: 'it aborted itself',
  137: 'it was killed (SIGKILL)',
  139: 'a segmentation fault',
  143: 'it was ended by SIGTERM',
};

function memoryLimit({ pod, name }: Inside): string {
  const containers = [
    ...listAt(pod, 'spec', 'containers'),
    ...listAt(pod, 'spec', 'initContainers'),
  ];
  const spec = containers.find((one) => one['name'] === name);
  const limit = textAt(spec, 'resources', 'limits', 'memory');
  return limit === undefined ? '' : ` (limit ${limit})`;
}

function fetchCause(log: string | undefined, code: number, since: number): Cause {
  const mismatch = (log ?? '').split('\n').find((line) => /digest mismatch/i.test(line));
  const words = mismatch === undefined ? lastLine(log) : quoted(mismatch);
  const cause = mismatch === undefined ? 'artifact-download' : 'artifact-mismatch';
  const message =
    mismatch === undefined
      ? `the artifact could not be loaded (exit code ${code})${detail(words)}`
      : (words ?? 'artifact digest mismatch');
  return { cause, message, since, failed: true };
}

function exitCause(inside: Inside, code: number, log: string | undefined, since: number): Cause {
  const { name, status } = inside;
  const restarts = numberAt(status, 'restartCount') ?? 0;
  const times =
    restarts > 1 ? `, restarted ${restarts} times` : restarts === 1 ? ', restarted once' : '';
  const hint = EXITS[code] === undefined ? '' : `, ${EXITS[code]}`;
  const what =
    code === 0 ? 'ended by itself with exit code 0' : `ended with exit code ${code}${hint}`;
  const advice = 'look at its log';
  const message = `container ${name} ${what}${times}${detail(lastLine(log))}; ${advice}`;
  return { cause: 'crash', message, since, failed: true };
}

/** The reason why a container ended. */
function endCause(inside: Inside, end: unknown): Cause | undefined {
  const { pod, name, init, noticed } = inside;
  const code = numberAt(end, 'exitCode');
  if (code === undefined || (init && code === 0)) return undefined;
  const finishedAt = timeAt(end, 'finishedAt') ?? createdAt(pod);
  const log = textAt(end, 'message');
  const reason = textAt(end, 'reason') ?? '';
  if (reason === 'OOMKilled') {
    const message = `container ${name} used more memory than it may${memoryLimit(inside)} and was killed; raise resources.memory`;
    return { cause: 'oom-killed', message, since: finishedAt, failed: true };
  }
  if (/^(?:StartError|ContainerCannotRun)$/.test(reason)) return startCause(log ?? '', finishedAt);
  const startedAt = timeAt(end, 'startedAt') ?? finishedAt;
  const killed = killedCause(pod, name, noticed, { startedAt, finishedAt });
  if (killed !== undefined) return killed;
  if (init && name === FETCH) return fetchCause(log, code, finishedAt);
  return exitCause(inside, code, log, finishedAt);
}

/** A container that could not be started. */
function startCause(words: string, since: number): Cause {
  const wrongCpu = /exec format error/.test(words);
  const absent = /no such file|not found in \$PATH|permission denied/.test(words);
  const advice = wrongCpu
    ? 'the image is built for another CPU; build it for the platform of the nodes'
    : absent
      ? 'correct command, or the image'
      : 'look at the events of the pod';
  // The cause is at the end of a chain of wrapped errors.
  const last = /(exec: .*|exec .*format error.*)$/s.exec(words)?.[1] ?? words;
  const message = `the container cannot be started: ${quoted(last)}; ${advice}`;
  return { cause: 'start-error', message, since, failed: true };
}

/** The kubelet retries: between two attempts the message of the last one is only in the events. */
function pullWords({ noticed, name, status }: Inside): string | undefined {
  const words = textAt(status, 'state', 'waiting', 'message');
  const tried = noticed.find(
    ({ reason, message, container }) =>
      reason === 'Failed' && message.startsWith('Failed to pull') && (container ?? name) === name,
  );
  return /^Back-off pulling image "[^"]*"$/.test(words ?? '') ? tried?.message : words;
}

function waitingCause(inside: Inside, reason: string): Cause | undefined {
  const { pod, status } = inside;
  const words = textAt(status, 'state', 'waiting', 'message');
  const since = createdAt(pod);
  if (IMAGE_REASONS.has(reason)) {
    return imageCause(textAt(status, 'image') ?? '?', reason, pullWords(inside), since);
  }
  switch (reason) {
    case 'CreateContainerConfigError':
      return configCause(words ?? reason, since);
    case 'CreateContainerError':
    case 'RunContainerError':
    case 'PostStartHookError':
      return startCause(words ?? reason, since);
    default:
      return endCause(inside, at(status, 'lastState', 'terminated'));
  }
}

/** The cause of one container; undefined when none is known. */
function containerCause(inside: Inside): Cause | undefined {
  const { status, pod, name, noticed, init } = inside;
  if (status['ready'] === true && !init) return undefined;
  const waiting = textAt(status, 'state', 'waiting', 'reason');
  if (waiting !== undefined) return waitingCause(inside, waiting);
  const ended = at(status, 'state', 'terminated');
  if (ended !== undefined) return endCause(inside, ended);
  // It was restarted: until it is ready, the reason of its last end is the cause.
  const before = endCause(inside, at(status, 'lastState', 'terminated'));
  return before ?? (init ? undefined : unreadyCause(pod, name, noticed));
}

/** The first container with a cause, in the order of their start. */
export function containersCause(
  pod: RawObject,
  noticed: readonly ObjectEvent[],
): Cause | undefined {
  const all = (['initContainerStatuses', 'containerStatuses'] as const).flatMap((field) =>
    listAt(pod, 'status', field).map((status) => ({ status, init: field.startsWith('init') })),
  );
  for (const { status, init } of all) {
    const name = textAt(status, 'name') ?? '?';
    const found = containerCause({ pod, noticed, status, name, init });
    if (found !== undefined) return found;
  }
  return undefined;
}
