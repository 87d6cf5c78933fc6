import { setTimeout as sleep } from 'node:timers/promises';
import type { Arm, Check, ModelSpec } from '../../../lib/spec';
import { DEFAULT_HEALTH_PATH, serverFacts } from '../../../lib/spec';
import { messageOf } from '../../core/lifecycle/fault';
import type { ArmRecord, ReplicaRecord, Why } from '../../core/lifecycle/snapshot';
import type { ProbeResult } from './probe';
import { probe } from './probe';

interface Endpoint {
  readonly host: string;
  readonly port: number;
  ready: boolean;
  since: number;
  why: Why | undefined;
  isUnreached: boolean;
  /** Index of the check that the server supports; 0 again after a failure. */
  question: number;
}

function endpointOf(address: string, since: number): Endpoint {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(at + 1));
  return { host, port, ready: false, since, why: undefined, isUnreached: false, question: 0 };
}

export interface EndpointOptions {
  readonly spec: ModelSpec;
  readonly arm: Arm;
  readonly addresses: readonly string[];
  readonly now: () => number;
  /** Called when a server fails and when it is back. */
  readonly warn: (message: string) => void;
  readonly onChange: () => void;
}

/** The server does not have this path, or requires a key for it. */
const ELSEWHERE: ReadonlySet<unknown> = new Set([401, 403, 404, 405]);
/** A server that requires a key is up; probes have none. */
const LOCKED: ReadonlySet<unknown> = new Set([401, 403]);

/**
 * The questions that say "this model is loaded"; the next one is for servers that do not have the
 * path of the one before. Few servers of OpenAI have a path for health, and some of these require a
 * key for their list of models (vLLM with --api-key).
 */
function questionsOf({ spec, arm }: EndpointOptions): readonly Check[] {
  const { path } = spec.health;
  if (path !== undefined) return [{ http: path }];
  const { protocol, ready } = serverFacts(arm.server);
  return protocol === 'openai' ? [{ http: DEFAULT_HEALTH_PATH }, ready] : [ready];
}

/** Options whose change requires a new watch. */
function keyOf({ spec, arm, addresses }: EndpointOptions): string {
  return JSON.stringify([spec.id, arm.version, arm.server, spec.health, addresses]);
}

function phaseOf({ ready, why }: Endpoint): ReplicaRecord['phase'] {
  if (ready) return 'ready';
  return why === undefined ? 'starting' : 'failed';
}

/** Servers of an arm that run outside the service; each is probed periodically. */
export class EndpointArm {
  private readonly endpoints: readonly Endpoint[];
  private readonly stopping = new AbortController();
  private readonly done: Promise<unknown>;

  constructor(private readonly options: EndpointOptions) {
    const { addresses, now } = options;
    this.endpoints = addresses.map((address) => endpointOf(address, now()));
    this.done = Promise.all(this.endpoints.map((endpoint) => this.watch(endpoint)));
  }

  /** True when this watch serves these options. */
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
    const isUnreached = this.endpoints.every((one) => one.isUnreached);
    return {
      name: arm.name,
      version: arm.version,
      desired: count,
      current: count,
      ready: this.endpoints.filter(({ ready }) => ready).length,
      updated: count,
      ...(why && { why }),
      ...(isUnreached && { isUnreached }),
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
      await this.look(endpoint).catch((error: unknown) =>
        this.take(endpoint, { message: messageOf(error) }),
      );
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  private async look(endpoint: Endpoint): Promise<void> {
    const { host, port, question } = endpoint;
    const { spec } = this.options;
    const questions = questionsOf(this.options);
    const check = questions[question];
    if (check === undefined) throw new Error(`there is no probe ${question}`);
    const fault = await probe(host, port, check, spec.id);
    if (ELSEWHERE.has(fault?.status) && question + 1 < questions.length) {
      endpoint.question += 1;
      return this.look(endpoint);
    }
    this.take(endpoint, question > 0 && LOCKED.has(fault?.status) ? undefined : fault);
  }

  private take(endpoint: Endpoint, fault: ProbeResult): void {
    const { host, port, why: before } = endpoint;
    const { now, onChange } = this.options;
    const ready = fault === undefined;
    if (!ready) endpoint.question = 0;
    const message = `${fault?.message}; start that server, or take it out of local.endpoints`;
    const isNews = ready !== endpoint.ready || (!ready && before?.message !== message);
    if (!isNews || this.stopping.signal.aborted) return;
    this.report(endpoint, fault);
    const at = now();
    // The cause may change while the server stays not ready.
    const isSame = ready === endpoint.ready && before !== undefined;
    const why: Why = { cause: 'probe-failing', message, object: `${host}:${port}`, since: at };
    const since = isSame ? endpoint.since : at;
    const isUnreached = fault?.isUnreached === true;
    Object.assign(endpoint, { ready, since, why: ready ? undefined : why, isUnreached });
    onChange();
  }

  /** One line when it fails and one when it is back; the status shows later causes. */
  private report({ host, port, why }: Endpoint, fault: ProbeResult): void {
    const { spec, arm, warn } = this.options;
    const name = `${spec.id}, ${arm.name}: the server at ${host}:${port} (local.endpoints)`;
    if (fault === undefined) {
      if (why !== undefined) warn(`${name} is ready again`);
    } else if (why === undefined) warn(`${name} is not ready: ${fault.message}`);
  }
}
