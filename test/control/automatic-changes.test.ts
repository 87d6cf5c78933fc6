import type { Audit } from '../../runtime/audit';
import { createAudit } from '../../runtime/audit';
import type { Sink } from '../../runtime/audit/sink';
import { noLines } from '../../runtime/audit/sink';
import { ClusterError } from '../../runtime/cluster/port';
import { heard, ticking } from '../audit/support';
import { json, startBackend, stopBackends } from '../support/backend';
import { startPlane, stopPlanes } from '../support/plane';
import type { Service, ServiceOptions } from './support';
import { statsOf } from '../metrics/support';
import { ask, codeOf, iris, place, serve, withCandidate } from './support';

// What the service changes by itself is in the record, which never holds it back.

let service: Service;
afterEach(() => service.close());

const BY = { caller: 'ai-model-service' };

async function promote(options: ServiceOptions = {}): Promise<void> {
  service = await serve(options);
  await place(service, withCandidate());
  const reply = await ask(`${service.url}/api/v1/models/iris/promote`, 'POST', {});
  expect(reply.status).toBe(202);
}

const isPromoting = (): boolean => {
  const watch = service.cluster.watch(() => undefined);
  watch.stop();
  return watch.snapshot().models.get('iris')?.state?.promote !== undefined;
};

async function untilPromoted(): Promise<void> {
  for (let ticks = 0; ticks < 30 && isPromoting(); ticks += 1) {
    service.clock.at += 1000;
    await service.control.tick();
  }
  expect(isPromoting()).toBe(false);
}

test('each step of a promotion is recorded, with its reason and the revision it makes', async () => {
  await promote();
  await untilPromoted();
  const [asked, ...steps] = service.audit;
  expect(asked).toMatchObject({ action: 'promote', status: 202, requestId: expect.any(String) });
  const step = { ...BY, action: 'promote', model: 'iris', arm: 'next', status: 200 };
  expect(steps).toEqual(
    [
      ['next can carry 100 % with 2 ready replicas'],
      ['next can carry 100 % with 2 ready replicas'],
      ['next can carry 100 % with 2 ready replicas'],
      ['next has all traffic; stable gets version v2 and rolls', 2],
      ['stable runs v2; traffic returns to it'],
      ['stable can carry 100 % with 2 ready replicas'],
      ['stable can carry 100 % with 2 ready replicas'],
      ['stable can carry 100 % with 2 ready replicas'],
      ['stable has all traffic; next goes', 3],
    ].map(([reason, revision]) => ({ ...step, reason, revision, at: expect.any(Number) })),
  );
});

test('a step that fails is recorded once for each cause, and not where another was faster', async () => {
  let code: 'CLUSTER_UNAVAILABLE' | 'REVISION_CONFLICT' | undefined;
  await promote({
    wrap: (cluster) => ({
      ...cluster,
      setOverrides: (id, state) =>
        code === undefined
          ? cluster.setOverrides(id, state)
          : Promise.reject(new ClusterError(code, 'away')),
    }),
  });
  code = 'CLUSTER_UNAVAILABLE';
  for (let ticks = 0; ticks < 3; ticks += 1) await service.control.tick();
  expect(service.audit.slice(1)).toMatchObject([{ ...BY, action: 'promote', status: 503 }]);
  code = 'REVISION_CONFLICT';
  await service.control.tick();
  expect(service.audit).toHaveLength(2);
  code = undefined;
  await service.control.tick();
  expect(service.audit.slice(2)).toMatchObject([{ ...BY, status: 200 }]);
});

const SLEEPY = iris({
  scaling_config: {
    min_replicas: 0,
    max_replicas: 2,
    target_concurrency: 4,
    scale_down_window_seconds: 20,
  },
});

test('putting an arm to sleep and waking it is recorded', async () => {
  service = await serve();
  await place(service, SLEEPY);
  await service.cluster.scale('iris', 'stable', { from: 0, to: 1 });
  for (let seconds = 0; seconds < 30; seconds += 1) {
    service.clock.at += 1000;
    await service.control.tick();
  }
  const arm = { ...BY, model: 'iris', arm: 'stable', status: 200, reason: expect.any(String) };
  expect(service.audit).toMatchObject([{ ...arm, action: 'sleep' }]);
  service.stats.push(statsOf('iris', { queued: 1, lastRequestAt: service.clock.at }));
  await service.control.tick();
  expect(service.audit.slice(1)).toMatchObject([{ ...arm, action: 'wake' }]);
});

/** A sink with no room until the test makes some. */
function fullDisk(): { sink: Sink; lines: () => Record<string, unknown>[]; makeRoom: () => void } {
  let isFull = true;
  let text = '';
  const nothing = (): Promise<void> => Promise.resolve();
  const requireRoom = (): void => {
    if (isFull) throw new Error('ENOSPC: no space left on device');
  };
  const open = async (): Promise<undefined> => {
    requireRoom();
    return undefined;
  };
  const append = async (bytes: Buffer): Promise<void> => {
    requireRoom();
    text += bytes.toString();
  };
  return {
    sink: {
      open,
      lines: noLines,
      setAside: nothing,
      append,
      close: nothing,
    },
    lines: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    makeRoom: () => {
      isFull = false;
    },
  };
}

describe('while no line can be written and changes are refused', () => {
  const clock = ticking();
  const open = (sink: Sink): Audit =>
    createAudit({ file: 'unused', sink, clock, log: heard(), onFailure: 'refuse' });

  test('the leader goes on, and its lines are written first when there is room', async () => {
    const disk = fullDisk();
    const audit = open(disk.sink);
    const ready = { ...audit, refusal: () => undefined };
    let current: Audit = ready;
    await promote({
      more: { audit: { ...audit, refusal: () => current.refusal() } },
    });
    await audit.flush();
    current = audit;
    const scale = () => ask(`${service.url}/api/v1/models/iris/scale`, 'POST', { replicas: 1 });
    expect(codeOf(await scale())).toBe('AUDIT_UNAVAILABLE');
    await untilPromoted();
    expect(disk.lines()).toEqual([]);
    expect(audit.status()).toMatchObject({ waitingLines: 11, droppedLines: 0 });
    disk.makeRoom();
    clock.pass(1000);
    await audit.flush();
    expect((await scale()).status).toBe(202);
    await audit.flush();
    expect(disk.lines().map(({ action, status }) => `${String(action)} ${String(status)}`)).toEqual(
      ['promote 202', 'scale 503', ...Array.from({ length: 9 }, () => 'promote 200'), 'scale 202'],
    );
    await audit.close();
  });

  test('inference goes on, and its lines are kept', async () => {
    service = await serve();
    const disk = fullDisk();
    const audit = open(disk.sink);
    await audit.flush();
    expect(audit.refusal()).toMatch('ENOSPC');
    const backend = await startBackend(() => json({ outputs: [] }));
    const plane = await startPlane({ audit: audit.recordSoon });
    plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
    expect((await plane.post('/v2/models/iris/infer', { inputs: [] })).status).toBe(200);
    expect(audit.status()).toMatchObject({ waitingLines: 1, droppedLines: 0 });
    disk.makeRoom();
    clock.pass(1000);
    await audit.flush();
    expect(disk.lines()).toMatchObject([{ action: 'infer', status: 200 }]);
    await audit.close();
    await stopPlanes();
    await stopBackends();
  });
});
