// Prometheus' text format by hand: five families, and nothing but additions on the way of a
// request.

import type { Histogram } from '../shared/histogram';
import { createHistogram } from '../shared/histogram';
import { sample } from '../shared/sample';

export type Protocol = 'v2' | 'v1' | 'native';

/** Seconds; from a tiny model on one core to one that needs the default time limit. */
const SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
const SHARED = [1, 2, 4, 8, 16, 32, 64];

/** Values that are read at scrape time. */
export interface Gauges {
  readonly running: () => number;
  readonly waiting: () => number;
  readonly models: readonly { readonly name: string; readonly version: string }[];
  /** May requests of the model share a run now? */
  readonly isJoined: (model: string) => boolean;
}

/** Results of comparing joined runs with single runs of one model. */
interface Comparisons {
  same: number;
  different: number;
}

const DURATION = 'onnx_server_request_duration_seconds';
const COMPARED = 'onnx_server_compared_runs_total';
const SHARED_RUNS = 'onnx_server_run_requests';

const family = (name: string, type: string, help: string, samples: string): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples}`;

export class OnnxMetrics {
  private readonly requests = new Map<Protocol, Map<number, number>>();
  private readonly durations = new Map<Protocol, Histogram>();
  private readonly shared = createHistogram({ name: SHARED_RUNS, buckets: SHARED });

  private readonly comparisons = new Map<string, Comparisons>();

  constructor(private readonly gauges: Gauges) {
    for (const { name } of gauges.models) this.comparisons.set(name, { same: 0, different: 0 });
    for (const protocol of ['v2', 'v1', 'native'] as const) {
      this.requests.set(protocol, new Map());
      this.durations.set(protocol, createHistogram({ name: DURATION, buckets: SECONDS }));
    }
  }

  onRequest(protocol: Protocol, status: number, seconds: number): void {
    const counts = this.requests.get(protocol);
    counts?.set(status, (counts.get(status) ?? 0) + 1);
    this.durations.get(protocol)?.observe(seconds);
  }

  onRun(shared: number): void {
    this.shared.observe(shared);
  }

  onCompared(model: string, result: keyof Comparisons): void {
    const counts = this.comparisons.get(model);
    if (counts !== undefined) counts[result] += 1;
  }

  text(): string {
    return [this.requestText(), this.runText(), this.joinText(), this.processText()].join('');
  }

  private requestText(): string {
    const requests = [...this.requests].flatMap(([protocol, counts]) =>
      [...counts].map(([status, count]) =>
        sample('onnx_server_requests_total', `protocol="${protocol}",status="${status}"`, count),
      ),
    );
    const durations = [...this.durations].map(([protocol, histogram]) =>
      histogram.lines(`protocol="${protocol}"`),
    );
    const help = 'Inference requests by protocol and HTTP status.';
    return [
      family('onnx_server_requests_total', 'counter', help, requests.join('')),
      family(
        DURATION,
        'histogram',
        'Time from the head of a request to its answer.',
        durations.join(''),
      ),
    ].join('');
  }

  private runText(): string {
    const { running, waiting, models } = this.gauges;
    const help = 'Requests that shared one run of a graph.';
    const loaded = models.map(({ name, version }) =>
      sample('onnx_server_model_info', `model="${name}",version="${version}"`, 1),
    );
    return [
      family(SHARED_RUNS, 'histogram', help, this.shared.lines('')),
      single('onnx_server_in_flight', 'gauge', 'Requests whose graph runs.', running()),
      single('onnx_server_queue_depth', 'gauge', 'Requests that wait for their run.', waiting()),
      family('onnx_server_model_info', 'gauge', 'Models that are loaded.', loaded.join('')),
    ].join('');
  }

  private joinText(): string {
    const on = [...this.comparisons.keys()].map((model) =>
      sample('onnx_server_joins_requests', `model="${model}"`, Number(this.gauges.isJoined(model))),
    );
    const compared = [...this.comparisons].flatMap(([model, counts]) =>
      (['same', 'different'] as const).map((result) =>
        sample(COMPARED, `model="${model}",result="${result}"`, counts[result]),
      ),
    );
    const help = 'Joined runs that were compared with single ones; a different one ends joining.';
    return [
      family(
        'onnx_server_joins_requests',
        'gauge',
        '1: requests of the model may share a run.',
        on.join(''),
      ),
      family(COMPARED, 'counter', help, compared.join('')),
    ].join('');
  }

  private processText(): string {
    const { user, system } = process.cpuUsage();
    const cpu = (user + system) / 1e6;
    const memory = process.memoryUsage.rss();
    return [
      single('process_cpu_seconds_total', 'counter', 'CPU time of this process.', cpu),
      single('process_resident_memory_bytes', 'gauge', 'Memory of this process.', memory),
    ].join('');
  }
}

const single = (name: string, type: string, help: string, value: number): string =>
  family(name, type, help, sample(name, '', value));
