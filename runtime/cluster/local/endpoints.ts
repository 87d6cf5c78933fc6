import { setTimeout as sleep } from 'node:timers/promises';
import type { Arm, Check, ModelSpec } from '../../../lib/spec';
import { serverFacts } from '../../../lib/spec';
import { messageOf } from '../../core/fault';
import type { ArmRecord, ReplicaRecord, Why } from '../../core/snapshot';
import { probe } from './probe';

interface Endpoint {
  readonly host: string;
  readonly port: number;
  ready: boolean;
  since: number;
  why: Why | undefined;
}

function endpointOf(address: string, now: number): Endpoint {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  return { host, port: Number(address.slice(at + 1)), ready: false, since: now, why: undefined };
}

export interface EndpointOptions {
  readonly spec: ModelSpec;
  readonly arm: Arm;
  readonly addresses: readonly string[];
  readonly now: () => number;
  readonly onChange: () => void;
}

/** The question that says "this model is loaded". */
function checkOf({ spec, arm }: EndpointOptions): Check {
  const { path } = spec.health;
  return path === undefined ? serverFacts(arm.server).ready : { http: path };
}

/** All that makes a watch another one. */
function keyOf({ spec, arm, addresses }: EndpointOptions): string {
  return JSON.stringify([spec.id, arm.version, arm.server, spec.health, addresses]);
}

function phaseOf({ ready, why }: Endpoint): ReplicaRecord['phase'] {
  if (ready) return 'ready';
  return why === undefined ? 'starting' : 'failed';
}

/** Servers of an arm that someone else runs: each is asked again and again whether it is well. */
export class EndpointArm {
  private readonly endpoints: readonly Endpoint[];
  private readonly stopping = new AbortController();
  private readonly done: Promise<unknown>;

  constructor(private readonly options: EndpointOptions) {
    const { addresses, now } = options;
    this.endpoints = addresses.map((address) => endpointOf(address, now()));
    this.done = Promise.all(this.endpoints.map((endpoint) => this.watch(endpoint)));
  }

  /** Is this the watch that those options ask for? */
  watches(options: EndpointOptions): boolean {
    return keyOf(options) === keyOf(this.options);
  }

  replicas(): readonly ReplicaRecord[] {
    const { spec, arm } = this.options;
    return this.endpoints.map((endpoint) => ({
      id: `${spec.slug}-${arm.name}-${endpoint.host}:${endpoint.port}`,
      arm: arm.name,
      version: arm.version,
      host: endpoint.host,
      port: endpoint.port,
      phase: phaseOf(endpoint),
      restarts: 0,
      since: endpoint.since,
      ...(endpoint.why && { why: endpoint.why }),
    }));
  }

  record(): ArmRecord {
    const { arm } = this.options;
    const count = this.endpoints.length;
    const why = this.endpoints.find((one) => one.why !== undefined)?.why;
    return {
      name: arm.name,
      version: arm.version,
      desired: count,
      current: count,
      ready: this.endpoints.filter(({ ready }) => ready).length,
      updated: count,
      ...(why && { why }),
    };
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.done;
  }

  private async watch(endpoint: Endpoint): Promise<void> {
    const { signal } = this.stopping;
    const pause = this.options.spec.health.periodSeconds * 1000;
    while (!signal.aborted) {
      await this.look(endpoint).catch((error: unknown) => this.take(endpoint, messageOf(error)));
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  private async look(endpoint: Endpoint): Promise<void> {
    const { host, port } = endpoint;
    const { spec } = this.options;
    this.take(endpoint, await probe(host, port, checkOf(this.options), spec.id));
  }

  private take(endpoint: Endpoint, problem: string | undefined): void {
    const { host, port } = endpoint;
    const { now, onChange } = this.options;
    const ready = problem === undefined;
    const message = `${problem}; start that server, or take it out of local.endpoints`;
    const isNews = ready !== endpoint.ready || (!ready && endpoint.why?.message !== message);
    if (!isNews || this.stopping.signal.aborted) return;
    const at = now();
    // The reason may be another one while it is not ready all along.
    const isSame = ready === endpoint.ready && endpoint.why !== undefined;
    const why: Why = { cause: 'probe-failing', message, object: `${host}:${port}`, since: at };
    const since = isSame ? endpoint.since : at;
    Object.assign(endpoint, { ready, since, why: ready ? undefined : why });
    onChange();
  }
}
