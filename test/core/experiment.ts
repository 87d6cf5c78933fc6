import { seeded, Simulation } from './simulator';
import { VirtualTime } from './virtual-time';

// One of eleven replicas is slow for a while: our routing beside what other proxies do, on the same
// requests and the same replicas. A replica works on eight requests at a time; more wait there.

export const REPLICAS = 11;
const WORKERS = 8;
const PER_SECOND = 300;
const SERVICE_MS = 20;
const SLOW_MS = 2_000;
const SLOW_FROM_MS = 5_000;
const SLOW_FOR_MS = 30_000;
const REQUESTS = 12_000;
/** What is in hand when the last request has come, and what waits in a long line behind it. */
const REST_MS = 300_000;

/** Milliseconds each request took, in the order they ended. */
export type Latencies = readonly number[];

/** Moments of the requests, milliseconds: Poisson, as many callers make them. */
function arrivals(random: () => number): readonly number[] {
  let at = 0;
  return Array.from({ length: REQUESTS }, () => {
    at += (-Math.log(1 - random()) * 1000) / PER_SECOND;
    return at;
  });
}

/** Service times vary by half around their mean. */
const drawn = (random: () => number, slow: boolean): number =>
  slow ? SLOW_MS : SERVICE_MS * (0.5 + random());

const isSlow = (replica: number, at: number): boolean =>
  replica === 0 && at >= SLOW_FROM_MS && at < SLOW_FROM_MS + SLOW_FOR_MS;

export function ours(seed: number): Latencies {
  const sim = new Simulation(seed);
  const replicas = sim.replicas(REPLICAS, SERVICE_MS);
  const start = sim.time.now;
  replicas.forEach((one, index) => {
    one.serviceMs = (random) => drawn(random, isSlow(index, sim.time.now - start));
  });
  sim.swap({ arms: { stable: replicas }, inference: { maxConcurrency: WORKERS } });
  for (const at of arrivals(seeded(seed + 1000))) {
    sim.time.after(() => void sim.request({ timeoutMs: REST_MS }), at);
  }
  sim.time.pass(REST_MS);
  return sim.outcomes.map(({ durationMs }) => durationMs);
}

/** A server with a line before it. */
class Station {
  private running = 0;
  private readonly line: (() => void)[] = [];

  get inHand(): number {
    return this.running + this.line.length;
  }

  constructor(
    private readonly time: VirtualTime,
    private readonly serviceMs: () => number,
  ) {}

  serve(done: () => void): void {
    const begin = (): void => {
      this.running += 1;
      this.time.after(() => {
        this.running -= 1;
        done();
        this.line.shift()?.();
      }, this.serviceMs());
    };
    if (this.running < WORKERS) begin();
    else this.line.push(begin);
  }
}

/** Which of all takes the next request. */
type Pick = (stations: readonly Station[], random: () => number) => number;

export const roundRobin = (): Pick => {
  let turn = 0;
  return () => (turn += 1) % REPLICAS;
};

/** The one with the fewest requests in hand; of equals any. */
export const leastRequest = (): Pick => (stations, random) => {
  const least = Math.min(...stations.map(({ inHand }) => inHand));
  const equals = stations.flatMap(({ inHand }, index) => (inHand === least ? [index] : []));
  return equals[Math.floor(random() * equals.length)] ?? 0;
};

/** The better one of two at random, by requests in hand: Envoy's least request. */
export const leastOfTwo = (): Pick => (stations, random) => {
  const first = Math.floor(random() * REPLICAS);
  const second = (first + 1 + Math.floor(random() * (REPLICAS - 1))) % REPLICAS;
  const inHand = (index: number): number => stations[index]?.inHand ?? 0;
  return inHand(second) < inHand(first) ? second : first;
};

export function plain(seed: number, makePick: () => Pick): Latencies {
  const time = new VirtualTime();
  const random = seeded(seed);
  const start = time.now;
  const stations = Array.from(
    { length: REPLICAS },
    (_, index) => new Station(time, () => drawn(random, isSlow(index, time.now - start))),
  );
  const pick = makePick();
  const latencies: number[] = [];
  for (const at of arrivals(seeded(seed + 1000))) {
    time.after(() => {
      const began = time.now;
      stations[pick(stations, random)]?.serve(() => latencies.push(time.now - began));
    }, at);
  }
  time.pass(REST_MS);
  return latencies;
}

export interface Summary {
  readonly p50: number;
  readonly p99: number;
  /** Part of all requests, 0 to 1. */
  readonly belowSecond: number;
}

export function summaryOf(latencies: Latencies): Summary {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? NaN;
  const belowSecond = latencies.filter((ms) => ms < 1_000).length / latencies.length;
  return { p50: at(0.5), p99: at(0.99), belowSecond };
}
