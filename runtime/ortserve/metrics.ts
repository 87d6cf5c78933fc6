import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Protocol = 'v2' | 'v1' | 'native';

/** What the server counts. */
export interface Metrics {
  readonly onRequest: (protocol: Protocol, status: number, seconds: number) => void;
  /** A run of the graph, and how many requests shared it. */
  readonly onRun: (requests: number) => void;
  readonly text: () => Promise<string>;
  readonly contentType: string;
}

/** From a tiny model on one core to one that needs the default deadline. */
const SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

export function createMetrics(
  waiting: () => number,
  models: readonly { readonly name: string; readonly version: string }[],
): Metrics {
  const registers = [new Registry()];
  const requests = new Counter({
    name: 'onnx_server_requests_total',
    help: 'Requests by protocol and status.',
    labelNames: ['protocol', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'onnx_server_request_duration_seconds',
    help: 'Time from the head of a request to its answer.',
    labelNames: ['protocol'],
    buckets: SECONDS,
    registers,
  });
  const batch = new Histogram({
    name: 'onnx_server_run_requests',
    help: 'Requests that shared one run of the graph.',
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registers,
  });
  const queue: Gauge = new Gauge({
    name: 'onnx_server_queue_depth',
    help: 'Requests that wait for their run.',
    registers,
    collect: () => queue.set(waiting()),
  });
  const info = new Gauge({
    name: 'onnx_server_model_info',
    help: 'Loaded models.',
    labelNames: ['model', 'version'],
    registers,
  });
  for (const { name: model, version } of models) info.set({ model, version }, 1);
  // Handles are kept: looking labels up costs more than counting.
  const counts = new Map<string, Counter.Internal>();
  const times = {
    v2: duration.labels('v2'),
    v1: duration.labels('v1'),
    native: duration.labels('native'),
  };
  return {
    onRequest: (protocol, status, seconds) => {
      const key = `${protocol} ${status}`;
      const count = counts.get(key) ?? requests.labels(protocol, String(status));
      counts.set(key, count);
      count.inc();
      times[protocol].observe(seconds);
    },
    onRun: (shared) => batch.observe(shared),
    text: () => (registers[0] as Registry).metrics(),
    contentType: (registers[0] as Registry).contentType,
  };
}
