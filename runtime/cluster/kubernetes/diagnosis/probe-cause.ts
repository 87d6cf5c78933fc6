import type { Cause } from './cause';
import { quoted } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import { at, listAt, textAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

const PROBES: Readonly<Record<string, string>> = {
  Startup: 'startupProbe',
  Readiness: 'readinessProbe',
  Liveness: 'livenessProbe',
};

/** `GET /health on port 8080`, from the container's spec. */
function probeTarget(pod: RawObject, container: string, probe: string): string {
  const spec = listAt(pod, 'spec', 'containers').find((one) => one['name'] === container);
  const check = at(spec, probe);
  const path = textAt(check, 'httpGet', 'path');
  const port = at(check, 'httpGet', 'port') ?? at(check, 'tcpSocket', 'port');
  const numbered = listAt(spec, 'ports').find((one) => one['name'] === port);
  const on = at(numbered, 'containerPort') ?? port;
  const where = typeof on === 'number' || typeof on === 'string' ? ` on port ${on}` : '';
  if (path !== undefined) return ` (GET ${path}${where})`;
  return where === '' ? '' : ` (connect${where})`;
}

/** The kubelet's message about a probe, shortened. */
function answer(words: string): string {
  const [, status] = /HTTP probe failed with statuscode: (\d+)/.exec(words) ?? [];
  if (status !== undefined) return `HTTP ${status}`;
  if (/connection refused/.test(words)) return 'connection refused: nothing listens there yet';
  if (/deadline exceeded|Client\.Timeout|i\/o timeout/i.test(words)) return 'no answer in time';
  return quoted(words);
}

interface Failed {
  readonly kind: string;
  readonly words: string;
  readonly event: ObjectEvent;
}

/** The latest failure of a probe. */
function tryFailed(container: string, noticed: readonly ObjectEvent[], only?: string) {
  const found = noticed.flatMap((event): readonly Failed[] => {
    if (event.reason !== 'Unhealthy' || (event.container ?? container) !== container) return [];
    const [, kind = '', words = ''] =
      /^(Startup|Readiness|Liveness) probe (?:failed|errored\S*): ?(.*)$/s.exec(event.message) ??
      [];
    return kind === '' || (only !== undefined && kind !== only) ? [] : [{ kind, words, event }];
  });
  return found[0];
}

const ADVICE =
  'look at the log of the container, and at health_check.path, health_check.port and startup_seconds';

/** A running container that is not ready; undefined when no probe has failed yet. */
export function unreadyCause(
  pod: RawObject,
  container: string,
  noticed: readonly ObjectEvent[],
): Cause | undefined {
  // A failing liveness probe leaves the replica ready; the probe that makes it unready comes first.
  const failed =
    tryFailed(container, noticed, 'Startup') ?? tryFailed(container, noticed, 'Readiness');
  const told = failed ?? tryFailed(container, noticed);
  if (told === undefined) return undefined;
  const { kind, words, event } = told;
  const probe = entryOf(PROBES, kind) ?? kind;
  const message = `not ready: ${probe}${probeTarget(pod, container, probe)} got ${answer(words)}; ${ADVICE}`;
  return { cause: 'probe-failing', message, since: event.first, failed: false };
}

interface End {
  readonly startedAt: number;
  readonly finishedAt: number;
}

/** preStop takes time: the kill is decided some time before the end. */
const SLACK_MS = 2000;

/** The kubelet ended a container because of a probe; its exit code does not show the cause. */
export function killedCause(
  pod: RawObject,
  container: string,
  noticed: readonly ObjectEvent[],
  { startedAt, finishedAt }: End,
): Cause | undefined {
  const killing = noticed.find(
    ({ reason, container: whose, last, message }) =>
      reason === 'Killing' &&
      (whose ?? container) === container &&
      /failed (?:startup|liveness) probe/.test(message) &&
      last >= startedAt - SLACK_MS &&
      last <= finishedAt + SLACK_MS,
  );
  if (killing === undefined) return undefined;
  const kind = /failed startup/.test(killing.message) ? 'Startup' : 'Liveness';
  const probe = entryOf(PROBES, kind) ?? kind;
  const words = tryFailed(container, noticed, kind)?.words;
  const got = words === undefined ? '' : `: it got ${answer(words)}`;
  const advice =
    kind === 'Startup'
      ? 'give it longer with health_check.startup_seconds, or look at its log'
      : 'the process hangs; look at its log';
  const message = `was restarted because its ${probe}${probeTarget(pod, container, probe)} failed${got}; ${advice}`;
  return { cause: 'probe-failing', message, since: killing.last, failed: true };
}
