import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ShedReason } from '../../runtime/core/routing/outcome';
import { inSlices, SLICE } from '../../runtime/metrics/text';
import { contract, createMetrics, observeProcess, textTypeOf } from '../../runtime/metrics';
import { observationOf, outcome, recordOf, statsOf, textOf } from './support';

const lines = (text: string, start: string): string[] =>
  text.split('\n').filter((line) => line.startsWith(start));

const series = (text: string): string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('names, types, labels and bounds are those of the committed contract', () => {
  const path = join(__dirname, '..', '..', 'metrics.txt');
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, contract());
  expect(contract()).toBe(readFileSync(path, 'utf8'));
});

test.each([
  ['ai_model_deployments_total', 'action,status'],
  ['ai_model_inference_requests_total', 'model_id,arm,version,status'],
  ['ai_model_inference_duration_seconds', 'model_id,arm'],
  ['ai_model_resource_usage', 'model_id,resource,unit'],
  ['ai_model_health_status', 'model_id,arm'],
  ['ai_model_batch_inference_requests_total', 'model_id,status'],
])('%s has the labels %s', (name, labels) => {
  expect(contract()).toContain(`${name}{${labels}} `);
});

describe('counters', () => {
  const metrics = createMetrics();
  let text = '';
  beforeAll(async () => {
    metrics.observe(
      observationOf(
        [recordOf('iris')],
        [
          statsOf('iris', {
            queued: 3,
            ejections: 1,
            inFlight: 2,
            replicas: [
              { id: 'a', address: 'x', inFlight: 0, costMs: 1, ejectedUntil: 5000 },
              { id: 'b', address: 'y', inFlight: 0, costMs: 1 },
            ],
          }),
        ],
      ),
    );
    metrics.onOutcome(outcome());
    metrics.onOutcome(outcome({ status: 404, durationMs: 2000 }));
    metrics.onOutcome(outcome({ status: 503, tries: 2, firstByteMs: undefined }));
    metrics.onOutcome(outcome({ status: 503, tries: 0, shed: 'queue_full' }));
    metrics.onOutcome(outcome({ arm: 'next', version: 'w2' }));
    metrics.onBatch('iris', 'partial');
    metrics.onShadow('iris', 'next', 'disagree');
    metrics.onJoined({ model: 'iris', arm: 'stable', requests: 4, isUndone: false });
    metrics.onJoined({ model: 'iris', arm: 'stable', requests: 3, isUndone: true });
    metrics.onDeployment('deploy', 'success');
    text = await textOf(metrics);
  });

  test.each([
    'ai_model_inference_requests_total{model_id="iris",arm="stable",version="v1",status="200"} 1',
    'ai_model_inference_requests_total{model_id="iris",arm="stable",version="v1",status="4xx"} 1',
    'ai_model_inference_requests_total{model_id="iris",arm="stable",version="v1",status="503"} 2',
    'ai_model_inference_requests_total{model_id="iris",arm="next",version="w2",status="200"} 1',
    'ai_model_inference_duration_seconds_bucket{model_id="iris",arm="stable",le="1"} 3',
    'ai_model_inference_duration_seconds_bucket{model_id="iris",arm="stable",le="5"} 4',
    'ai_model_inference_duration_seconds_count{model_id="iris",arm="stable"} 4',
    'ai_model_time_to_first_byte_seconds_count{model_id="iris",arm="stable"} 3',
    'ai_model_retries_total{model_id="iris",arm="stable"} 1',
    'ai_model_requests_shed_total{model_id="iris",arm="stable",reason="queue_full"} 1',
    'ai_model_batch_inference_requests_total{model_id="iris",status="partial"} 1',
    'ai_model_shadow_requests_total{model_id="iris",arm="next",result="disagree"} 1',
    'ai_model_joined_calls_total{model_id="iris",arm="stable"} 2',
    'ai_model_joined_requests_total{model_id="iris",arm="stable"} 7',
    'ai_model_joined_calls_undone_total{model_id="iris",arm="stable"} 1',
    'ai_model_deployments_total{action="deploy",status="success"} 1',
    'ai_model_queue_depth{model_id="iris",arm="stable"} 3',
    'ai_model_requests_in_flight{model_id="iris",arm="stable"} 2',
    'ai_model_ejected_replicas{model_id="iris",arm="stable"} 1',
    'ai_model_ejections_total{model_id="iris",arm="stable"} 1',
    'ai_model_health_status{model_id="iris",arm="stable"} 1',
    'ai_model_replicas{model_id="iris",arm="stable",state="desired"} 1',
    'ai_model_replicas{model_id="iris",arm="stable",state="ready"} 1',
    'ai_model_traffic_share_ratio{model_id="iris",arm="next"} 0.1',
    'ai_model_resource_usage{model_id="iris",resource="cpu",unit="cores"} 0.5',
    'ai_model_resource_usage{model_id="iris",resource="memory",unit="bytes"} 1000',
    'ai_model_resource_usage{model_id="iris",resource="replicas",unit="count"} 1',
    'ai_model_watch_age_seconds{watch="local"} 2.5',
    'ai_model_service_leader 1',
    'ai_model_service_peers 2',
    'ai_model_watch_synced 1',
    'ai_model_models 1',
    'ai_model_event_loop_lag_seconds 0.002',
  ])('%s', (line) => {
    expect(text.split('\n')).toContain(line);
  });

  test('an arm whose requests go alone has no series of batched calls', () => {
    expect(text).not.toMatch(/joined.*arm="next"/);
  });

  test('every family has one header, with its samples after it', () => {
    const types = lines(text, '# TYPE ').map((line) => line.split(' ')[2] ?? '');
    expect(new Set(types).size).toBe(types.length);
    let current = '';
    for (const line of text.split('\n')) {
      if (line.startsWith('# TYPE ')) current = line.split(' ')[2] ?? '';
      else if (line !== '' && !line.startsWith('#')) expect(line.startsWith(current)).toBe(true);
    }
  });
});

test('an arm without a ready replica is unhealthy, and one that was stopped on purpose is not', async () => {
  const metrics = createMetrics();
  const record = recordOf('iris');
  const [stable, next] = record.arms;
  if (stable === undefined || next === undefined) throw new Error('two arms');
  metrics.observe(
    observationOf([
      {
        ...record,
        arms: [
          { ...stable, ready: 0 },
          { ...next, ready: 0, desired: 0 },
        ],
      },
    ]),
  );
  const text = await textOf(metrics);
  expect(text).toContain('ai_model_health_status{model_id="iris",arm="stable"} 0');
  expect(text).toContain('ai_model_health_status{model_id="iris",arm="next"} 1');
});

test('counts of the router itself are shown unchanged', async () => {
  const metrics = createMetrics();
  const line = (name: string, more = ''): string => `${name}{model_id="iris",arm="stable"${more}} `;
  for (const count of [2, 5]) {
    const stats = statsOf('iris', { ejections: count, spilled: { arm_full: count } });
    metrics.observe(observationOf([recordOf('iris')], [stats]));
    const text = await textOf(metrics);
    expect(text).toContain(`${line('ai_model_ejections_total')}${count}\n`);
    expect(text).toContain(
      `${line('ai_model_requests_spilled_total', ',reason="arm_full"')}${count}\n`,
    );
  }
});

test('an unknown name of a model or arm never becomes a label', async () => {
  const metrics = createMetrics();
  metrics.observe(observationOf([recordOf('iris')]));
  metrics.onOutcome(outcome({ model: 'made-up', status: 404 }));
  metrics.onOutcome(outcome({ arm: 'made-up', status: 404 }));
  metrics.onBatch('made-up', 'error');
  metrics.onShadow('iris', 'made-up', 'agree');
  expect(await textOf(metrics)).not.toContain('made-up');
});

test('the series of a model are removed with it', async () => {
  const metrics = createMetrics();
  metrics.observe(observationOf([recordOf('iris'), recordOf('rose')]));
  metrics.onOutcome(outcome());
  metrics.observe(observationOf([recordOf('iris')]));
  expect(await textOf(metrics)).not.toContain('rose');
  metrics.observe(observationOf([]));
  metrics.onOutcome(outcome());
  expect(await textOf(metrics)).not.toContain('iris');
});

test('after an update the previous version is kept, and earlier ones are not', async () => {
  const metrics = createMetrics();
  for (const version of ['v1', 'v2', 'v3']) {
    metrics.observe(observationOf([recordOf('iris', version)]));
    metrics.onOutcome(outcome({ version, status: 500 }));
  }
  const text = await textOf(metrics);
  const shown = ['v1', 'v2', 'v3'].filter((version) => text.includes(`version="${version}"`));
  expect(shown).toEqual(['v2', 'v3']);
});

test('an arm has at most 66 series', async () => {
  const metrics = createMetrics();
  const reasons: ShedReason[] = [
    'queue_full',
    'deadline',
    'no_replica',
    'stopped',
    'deleting',
    'priority',
  ];
  for (const version of ['v1', 'v2', 'v3', 'v4']) {
    metrics.observe(observationOf([recordOf('iris', version)]));
    for (let status = 100; status < 600; status += 1) {
      for (const shed of reasons) metrics.onOutcome(outcome({ version, status, shed, tries: 2 }));
      for (const by of ['server', 'caller'] as const) {
        for (const kind of ['answer', 'stream'] as const) {
          metrics.onOutcome(outcome({ version, status, broken: { by, kind } }));
        }
      }
    }
  }
  // Spilled requests belong to candidates, copies to shadows: no arm has both.
  const spilled = { arm_full: 1, arm_unready: 1 };
  metrics.observe(observationOf([recordOf('iris', 'v4')], [statsOf('iris', { spilled })]));
  for (const status of ['success', 'partial', 'error'] as const) metrics.onBatch('iris', status);
  metrics.onJoined({ model: 'iris', arm: 'stable', requests: 2, isUndone: true });
  const own = series(await textOf(metrics)).filter((line) => line.includes('arm="stable"'));
  expect(own.length).toBeGreaterThan(40);
  expect(own.length).toBeLessThanOrEqual(66);
});

test('OpenMetrics is chosen by Accept: counters named without _total, traces as exemplars, an end', async () => {
  const metrics = createMetrics();
  metrics.observe(observationOf([recordOf('iris')]));
  const trace = '0af7651916cd43dd8448eb211c80319c';
  metrics.onOutcome(outcome({ durationMs: 700 }), trace);
  metrics.onOutcome(outcome({ durationMs: 3 }), 'not a "trace"');
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5';
  const text = await textOf(metrics, accept);
  expect(textTypeOf(accept)).toContain('openmetrics');
  expect(text).toContain('# TYPE ai_model_inference_requests counter\n');
  expect(text).toMatch(/\nai_model_inference_requests_total\{.*status="200"\} 2\n/);
  expect(text).toMatch(/bucket\{.*le="1"\} 2 # \{trace_id="0af765[0-9a-f]*"\} 0\.7\n/);
  expect(text).not.toContain('not a');
  expect(text.endsWith('\n# EOF\n')).toBe(true);
  expect(await textOf(metrics)).not.toContain('trace_id');
});

test('a scrape of 1,000 models is made in slices, and the event loop runs between them', async () => {
  const metrics = createMetrics();
  const records = Array.from({ length: 1000 }, (_, index) => recordOf(`m${index}`));
  const observed = observationOf(records);
  let turn = 0;
  const looked: number[] = [];
  const arm = (): undefined => {
    looked[turn] = (looked[turn] ?? 0) + 1;
    return undefined;
  };
  metrics.observe({ ...observed, load: { ...observed.load, arm } });
  for (const { spec } of records) metrics.onOutcome(outcome({ model: spec.id }));
  let done = false;
  const count = (): void => {
    turn += 1;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const slices: string[] = [];
  for await (const slice of metrics.text()) slices.push(slice);
  done = true;
  expect(series(slices.join('')).length).toBeGreaterThan(40_000);
  // Each model has two arms, and the largest chunk has the histogram of both.
  expect(Math.max(...looked.filter((one) => one > 0))).toBeLessThanOrEqual(SLICE.chunks * 2);
  const longest = Math.max(...slices.map((slice) => slice.length));
  expect(longest).toBeLessThanOrEqual(SLICE.characters + 4096);
  expect(turn).toBeGreaterThanOrEqual(slices.length - 2);
});

test('a slice ends after a number of chunks, also when they are empty', async () => {
  let made = 0;
  const perTurn: number[] = [];
  function* chunks(): Generator<string> {
    for (; made < 1050; made += 1) yield '';
  }
  const turn = (): Promise<void> => Promise.resolve(void perTurn.push(made + 1));
  for await (const slice of inSlices(chunks(), turn)) expect(slice).not.toBe('');
  expect(perTurn).toEqual(Array.from({ length: 10 }, (_, index) => (index + 1) * SLICE.chunks));
});

test('responses and streams that break have series of their own', async () => {
  const metrics = createMetrics();
  metrics.observe(observationOf([recordOf('iris')]));
  metrics.onOutcome(outcome({ status: 502, broken: { by: 'server', kind: 'answer' } }));
  metrics.onOutcome(outcome({ status: 499, broken: { by: 'caller', kind: 'stream' } }));
  metrics.onOutcome(outcome());
  expect(lines(await textOf(metrics), 'ai_model_broken_answers_total')).toEqual([
    'ai_model_broken_answers_total{model_id="iris",arm="stable",kind="answer",by="server"} 1',
    'ai_model_broken_answers_total{model_id="iris",arm="stable",kind="stream",by="caller"} 1',
  ]);
});

test('process metrics of prom-client follow our own, before the end mark', async () => {
  const metrics = createMetrics(observeProcess());
  const text = await textOf(metrics);
  expect(text).toMatch(/\nprocess_resident_memory_bytes \d+/);
  expect(text).toMatch(/\n# TYPE nodejs_gc_duration_seconds histogram\n/);
  const open = await textOf(metrics, 'application/openmetrics-text');
  expect(open).toContain('\nprocess_cpu_seconds_total ');
  expect(open.match(/# EOF/g)).toHaveLength(1);
  expect(open.endsWith('\n# EOF\n')).toBe(true);
  expect(open).not.toContain('\n\n');
});
