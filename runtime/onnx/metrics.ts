// Prometheus' text format by hand: five families, and nothing but additions on the way of a
// request.

export type Protocol = 'v2' | 'v1' | 'native';

/** Seconds; from a tiny model on one core to one that needs the default time limit. */
const SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
const SHARED = [1, 2, 4, 8, 16, 32, 64];

class Histogram {
  private readonly counts: number[];
  private sum = 0;

  constructor(private readonly bounds: readonly number[]) {
    this.counts = Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] ?? Infinity)) at += 1;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
  }

  /** `labels` without braces, `a="b"` or empty. */
  lines(name: string, labels: string): string[] {
    const lines: string[] = [];
    const before = labels === '' ? '' : `${labels},`;
    const braces = labels === '' ? '' : `{${labels}}`;
    let total = 0;
    for (const [index, count] of this.counts.entries()) {
      total += count;
      lines.push(`${name}_bucket{${before}le="${this.bounds[index] ?? '+Inf'}"} ${total}`);
    }
    lines.push(`${name}_sum${braces} ${this.sum}`, `${name}_count${braces} ${total}`);
    return lines;
  }
}

/** What is read at the moment of a scrape. */
export interface Gauges {
  readonly running: () => number;
  readonly waiting: () => number;
  readonly models: readonly { readonly name: string; readonly version: string }[];
}

const family = (name: string, type: string, help: string, lines: readonly string[]): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.map((line) => `${line}\n`).join('')}`;

export class Metrics {
  private readonly requests = new Map<Protocol, Map<number, number>>();
  private readonly durations = new Map<Protocol, Histogram>();
  private readonly shared = new Histogram(SHARED);

  constructor(private readonly gauges: Gauges) {
    for (const protocol of ['v2', 'v1', 'native'] as const) {
      this.requests.set(protocol, new Map());
      this.durations.set(protocol, new Histogram(SECONDS));
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

  text(): string {
    return [this.requestText(), this.runText(), this.processText()].join('');
  }

  private requestText(): string {
    const requests = [...this.requests].flatMap(([protocol, counts]) =>
      [...counts].map(
        ([status, count]) =>
          `onnx_server_requests_total{protocol="${protocol}",status="${status}"} ${count}`,
      ),
    );
    const name = 'onnx_server_request_duration_seconds';
    const durations = [...this.durations].flatMap(([protocol, histogram]) =>
      histogram.lines(name, `protocol="${protocol}"`),
    );
    const help = 'Inference requests by protocol and HTTP status.';
    return [
      family('onnx_server_requests_total', 'counter', help, requests),
      family(name, 'histogram', 'Time from the head of a request to its answer.', durations),
    ].join('');
  }

  private runText(): string {
    const { running, waiting, models } = this.gauges;
    const shared = this.shared.lines('onnx_server_run_requests', '');
    const help = 'Requests that shared one run of a graph.';
    const loaded = models.map(
      ({ name, version }) => `onnx_server_model_info{model="${name}",version="${version}"} 1`,
    );
    return [
      family('onnx_server_run_requests', 'histogram', help, shared),
      single('onnx_server_in_flight', 'gauge', 'Requests whose graph runs.', running()),
      single('onnx_server_queue_depth', 'gauge', 'Requests that wait for their run.', waiting()),
      family('onnx_server_model_info', 'gauge', 'Models that are loaded.', loaded),
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
  family(name, type, help, [`${name} ${value}`]);
