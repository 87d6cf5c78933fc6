import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { Agent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DASHBOARDS } from '../../lib/monitoring/panels';
import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { createAuthority } from '../support/certificates';
import { ROOT } from '../support/sources';
import type { Process } from './long/processes';
import { begin, freePorts } from './long/processes';
import { call, until, workspace } from './service';
import { findPrometheus } from './stores';

// A real Prometheus scrapes the built service while all goes wrong that can: every query of every
// dashboard has an answer, and the rules that the command line writes are taken.

const BIN = join(ROOT, 'build', 'bin.cjs');
const NAMESPACE = 'clinic';
const PATIENT_MS = 120_000;

const EVENTS =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n' +
  '9\r\ndata: {}\n\r\n';

const answerOf = (value: number) => ({
  model_name: 'seen',
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 1], data: [value] }],
});
const V2 = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [1] }] };

/** One that goes alone, whose answer the server breaks off. */
const CUT = { ...V2, parameters: { cut: true } };

const v2Server = (value: number): Promise<Backend> =>
  startBackend(({ method, body }) => {
    if (method === 'GET') return json({ ready: true });
    return body.includes('"cut"') ? { kind: 'half', body: '{"outputs":' } : json(answerOf(value));
  });

const SEEN = {
  model_id: 'seen',
  version: '1',
  framework: 'tensorrt',
  repository_url: 's3://m/seen',
  health_check: { period: 1 },
  inference: {
    idempotent: true,
    batching: { max_size: 4, max_delay_ms: 5, rows_independent: true },
  },
  candidates: [
    { name: 'next', version: '2', repository_url: 's3://m/next', traffic: 20 },
    { name: 'shadow', version: '3', repository_url: 's3://m/shadow', shadow: 100 },
  ],
};
const CHAT = {
  model_id: 'chat',
  version: '1',
  framework: 'huggingface',
  model_type: 'llm',
  repository_url: 'hf://a/b',
  health_check: { period: 1 },
};

/** Counters of a server that answers a request every scrape, in the words of its kind. */
const EXPORTED: Readonly<Record<string, (count: number) => string>> = {
  seen: (count) =>
    [
      ['nv_inference_request_success', count],
      ['nv_inference_request_failure', count],
      ['nv_inference_request_duration_us', count * 2000],
      ['nv_inference_queue_duration_us', count * 1000],
      ['nv_inference_pending_request_count', 1],
      ['nv_inference_count', count * 4],
      ['nv_inference_exec_count', count],
      ['nv_gpu_utilization', 0.5],
    ]
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
  chat: (count) =>
    [
      ...['e2e_request_latency', 'request_queue_time', 'time_to_first_token'].flatMap((name) => [
        [`vllm:${name}_seconds_sum`, count],
        [`vllm:${name}_seconds_count`, count],
      ]),
      ['vllm:request_success_total', count],
      ['http_requests_total{status="5xx"}', count],
      ['vllm:num_requests_waiting', 1],
      ['vllm:num_requests_running', 2],
      ['vllm:kv_cache_usage_perc', 0.25],
      ['vllm:generation_tokens_total', count * 100],
    ]
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
};

async function startExporter(): Promise<Server> {
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(EXPORTED[(request.url ?? '').slice(1)]?.(count) ?? '');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}

const prometheus = findPrometheus();
const describePrometheus = prometheus === undefined ? describe.skip : describe;

describePrometheus('a real Prometheus', () => {
  const place = workspace();
  const [{ folder }, processes] = [place, [] as Process[]];
  let exporter: Server;
  let url = '';
  let prometheusUrl = '';

  const authority = createAuthority();
  const agent = new Agent({ ca: authority.cert, keepAlive: true });
  const ask = (method: string, path: string, body?: unknown, headers = {}) =>
    call(url + path, method, body, agent, headers);
  const post = (path: string, body: unknown): Promise<number> =>
    ask('POST', path, body).then(
      ({ status }) => status,
      () => 0,
    );

  async function startService(port: number, opsPort: number): Promise<void> {
    const [stable, shadow] = await Promise.all([v2Server(1), v2Server(2)]);
    const flaky = await startBackend(({ method }) =>
      method === 'GET' ? json({ ready: true }) : { kind: 'reset' },
    );
    const chat = await startBackend(({ method }) =>
      method === 'GET' ? json({ data: [] }) : { kind: 'raw', bytes: EVENTS, last: 'reset' },
    );
    const [closed = 0] = await freePorts(1);
    const endpoints = {
      seen: {
        stable: [stable.address, flaky.address],
        next: [`127.0.0.1:${closed}`],
        shadow: [shadow.address],
      },
      chat: { stable: [chat.address] },
    };
    mkdirSync(join(folder, 'models'), { recursive: true });
    for (const one of [SEEN, CHAT]) {
      writeFileSync(join(folder, 'models', `${one.model_id}.json`), JSON.stringify(one));
    }
    for (const [name, text] of Object.entries(authority.issue())) {
      writeFileSync(join(folder, `tls.${name}`), text);
    }
    const tls = { cert: 'tls.cert', key: 'tls.key' };
    const server = { port, ops_port: opsPort, accept_seconds: 0, tls };
    writeFileSync(
      join(folder, 'config.yaml'),
      stringify({ server, local: { endpoints }, models: { directory: 'models' } }),
    );
    processes.push(begin([process.execPath, BIN, '--config', 'config.yaml'], { cwd: folder }));
  }

  function startPrometheus(port: number, opsPort: number): void {
    execFileSync(process.execPath, [BIN, 'rules', '--out', 'rules.yaml'], { cwd: folder });
    const servers = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
    const serverJob = (model: string): object => {
      const labels = {
        namespace: NAMESPACE,
        ai_model_suoke_life_model: model,
        ai_model_suoke_life_arm: 'stable',
      };
      const static_configs = [{ targets: [servers], labels }];
      return { job_name: model, metrics_path: `/${model}`, static_configs };
    };
    const routers = [{ targets: [`127.0.0.1:${opsPort}`], labels: { namespace: NAMESPACE } }];
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yaml'],
      scrape_configs: [
        { job_name: 'routers', static_configs: routers },
        serverJob('seen'),
        serverJob('chat'),
      ],
    };
    writeFileSync(join(folder, 'prometheus.yaml'), stringify(config));
    const args = [
      '--config.file=prometheus.yaml',
      '--storage.tsdb.path=tsdb',
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    processes.push(begin([prometheus ?? '', ...args], { cwd: folder }));
  }

  beforeAll(async () => {
    const [port = 0, opsPort = 0, prometheusPort = 0] = await freePorts(3);
    url = `https://127.0.0.1:${port}`;
    prometheusUrl = `http://127.0.0.1:${prometheusPort}`;
    exporter = await startExporter();
    await startService(port, opsPort);
    startPrometheus(prometheusPort, opsPort);
    await until(
      'the models run',
      () => ask('GET', '/api/v1/models/seen/status').then(({ text }) => text, String),
      // The candidate never gets ready.
      (text) => text.includes('"serving":true'),
      PATIENT_MS,
    );
  }, 2 * PATIENT_MS);

  afterAll(async () => {
    agent.destroy();
    await Promise.all(processes.map((one) => one.end('SIGTERM')));
    await stopBackends();
    exporter?.close();
    place.remove();
  }, PATIENT_MS);

  /** A round of requests of every kind, so that each family has samples. */
  async function round(): Promise<void> {
    const seen = Array.from({ length: 12 }, () => post('/v2/models/seen/infer', V2));
    await Promise.all(seen);
    await post('/v2/models/seen/infer', CUT);
    await post('/openai/v1/chat/completions', { model: 'chat', stream: true, messages: [] });
    // No replica of the candidate runs, and it is asked for by its name.
    const headers = { 'x-ai-model-arm': 'next' };
    await ask('POST', '/v2/models/seen/infer', V2, headers).catch(() => 0);
    await post('/api/v1/models/chat/scale', { replicas: 1 });
  }

  async function query(expr: string): Promise<number> {
    const given = expr
      .replaceAll('$__rate_interval', '10s')
      .replaceAll('$namespace', NAMESPACE)
      .replaceAll('$model', 'seen');
    const path = `/api/v1/query?query=${encodeURIComponent(given)}`;
    const { status, text, json: body } = await call(prometheusUrl + path, 'GET');
    if (status !== 200) throw new Error(`${given}: ${text}`);
    return (body().data.result as readonly unknown[]).length;
  }

  const all = DASHBOARDS.flatMap(({ name, panels }) =>
    panels.flatMap(({ title, queries }) =>
      queries.map(([expr]) => ({ panel: `${name}: ${title}`, expr })),
    ),
  );

  test(
    'every query of every dashboard has a result',
    async () => {
      const answered = new Set<string>();
      await until(
        'queries without an answer',
        async () => {
          await round();
          for (const { expr } of all) if ((await query(expr)) > 0) answered.add(expr);
          return all.filter(({ expr }) => !answered.has(expr));
        },
        (open) => open.length === 0,
        PATIENT_MS,
      );
    },
    2 * PATIENT_MS,
  );

  test('the rules are loaded, and their expressions are evaluated without an error', async () => {
    interface Rule {
      readonly name: string;
      readonly health: string;
    }
    const { json: body } = await call(`${prometheusUrl}/api/v1/rules`, 'GET');
    const groups = body().data.groups as readonly { readonly rules: readonly Rule[] }[];
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(20);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  });
});
