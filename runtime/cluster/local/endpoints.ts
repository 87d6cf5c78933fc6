import { setTimeout as sleep } from 'node:timers/promises';
import type { Arm, ModelSpec } from '../../../lib/spec';
import { serverFacts } from '../../../lib/spec';
import type { ArmRecord, ReplicaRecord, Why } from '../../core/snapshot';
import { probe } from './probe';

/** Servers of an arm that someone else runs; they are only watched. */
export interface EndpointArm {
  readonly replicas: () => readonly ReplicaRecord[];
  readonly record: () => ArmRecord;
  readonly stop: () => Promise<void>;
}

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

/** Asks each address the question that says "this model is loaded", again and again. */
export function watchEndpoints(options: EndpointOptions): EndpointArm {
  const { spec, arm, addresses, now, onChange } = options;
  const { ready } = serverFacts(arm.server, spec.health.path);
  const check = 'http' in ready && spec.health.path ? { http: spec.health.path } : ready;
  const stopping = new AbortController();
  const endpoints = addresses.map((address) => endpointOf(address, now()));
  const look = async (endpoint: Endpoint): Promise<void> => {
    const problem = await probe(endpoint.host, endpoint.port, check, spec.id);
    const well = problem === undefined;
    const changed = well !== endpoint.ready || (!well && endpoint.why === undefined);
    endpoint.ready = well;
    if (!changed || stopping.signal.aborted) return;
    endpoint.since = now();
    const object = `${endpoint.host}:${endpoint.port}`;
    const message = `${problem}; start that server, or take it out of local.endpoints`;
    endpoint.why = well ? undefined : { cause: 'probe-failing', message, object, since: now() };
    onChange();
  };
  const run = async (endpoint: Endpoint): Promise<void> => {
    while (!stopping.signal.aborted) {
      await look(endpoint);
      const pause = spec.health.periodSeconds * 1000;
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const done = Promise.all(endpoints.map(run));
  const recordOf = ({ host, port, ready: well, since, why }: Endpoint): ReplicaRecord => ({
    id: `${spec.slug}-${arm.name}-${host}:${port}`,
    arm: arm.name,
    version: arm.version,
    host,
    port,
    phase: well ? 'ready' : why === undefined ? 'starting' : 'failed',
    restarts: 0,
    since,
    ...(why && { why }),
  });
  return {
    replicas: () => endpoints.map(recordOf),
    record: () => {
      const why = endpoints.find((one) => one.why !== undefined)?.why;
      return {
        name: arm.name,
        version: arm.version,
        desired: endpoints.length,
        current: endpoints.length,
        ready: endpoints.filter((one) => one.ready).length,
        updated: endpoints.length,
        ...(why && { why }),
      };
    },
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}
