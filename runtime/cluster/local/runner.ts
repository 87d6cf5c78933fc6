import type { Arm, ModelSpec } from '../../../lib/spec';
import type { ArmRecord, ReplicaRecord } from '../../core/snapshot';
import type { ArmGoal, ArmRunner } from './arm';
import { createArm } from './arm';
import type { EndpointArm } from './endpoints';
import { watchEndpoints } from './endpoints';
import type { ArmPlan, SpawnServer } from './plan';
import { startReplica } from './replica';

/** `local.endpoints`: model → arm → addresses. */
export type Endpoints = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

export interface RunnerOptions {
  readonly spawnServer: SpawnServer;
  readonly baseEnv: NodeJS.ProcessEnv;
  readonly endpoints: Endpoints;
  readonly now: () => number;
  readonly random: () => number;
  readonly onChange: () => void;
}

/** The processes of one model: an arm each, or endpoints that someone else runs. */
export interface ModelRunner {
  /** Follows a definition; `planOf` is asked for arms that run as processes. */
  readonly follow: (spec: ModelSpec, stopped: boolean, planOf: (arm: Arm) => ArmPlan) => void;
  readonly arms: () => readonly ArmRecord[];
  readonly replicas: () => readonly ReplicaRecord[];
  readonly stop: (options: { readonly drain: boolean }) => Promise<void>;
  readonly measure: () => void;
}

interface Leaving {
  readonly runner: ArmRunner;
  readonly gone: Promise<void>;
}

export function createRunner(options: RunnerOptions): ModelRunner {
  const processes = new Map<string, ArmRunner>();
  const watched = new Map<string, EndpointArm & { readonly key: string }>();
  const leaving = new Set<Leaving>();
  let order: readonly string[] = [];
  let count = 0;

  const leave = (name: string, runner: ArmRunner): void => {
    processes.delete(name);
    const gone = runner.stop({ drain: true }).then(() => {
      leaving.delete(entry);
      options.onChange();
    });
    const entry: Leaving = { runner, gone };
    leaving.add(entry);
  };
  const startArm = (spec: ModelSpec, goal: ArmGoal): ArmRunner => {
    const { slug, id } = spec;
    const nextId = (): string => `${slug}-${goal.plan.name}-${process.pid}-${(count += 1)}`;
    const { spawnServer, baseEnv, now, random } = options;
    return createArm(
      goal,
      (plan, onChange) =>
        startReplica({
          model: id,
          plan,
          spawnServer,
          baseEnv,
          now,
          random,
          nextId,
          onChange,
        }),
      options.onChange,
    );
  };
  const followProcess = (spec: ModelSpec, plan: ArmPlan, desired: number): void => {
    const running = processes.get(plan.name);
    if (running === undefined) processes.set(plan.name, startArm(spec, { plan, desired }));
    else running.setGoal({ plan, desired });
  };
  const followEndpoints = (spec: ModelSpec, arm: Arm, addresses: readonly string[]): void => {
    const { health, id } = spec;
    const key = JSON.stringify([id, arm.version, arm.server, health, addresses]);
    const running = watched.get(arm.name);
    // A changed share must not make replicas unknown for a moment.
    if (running?.key === key) return;
    void running?.stop();
    const { now, onChange } = options;
    watched.set(arm.name, { key, ...watchEndpoints({ spec, arm, addresses, now, onChange }) });
  };
  return {
    follow: (spec, stopped, planOf) => {
      order = spec.arms.map(({ name }) => name);
      for (const [name, runner] of processes) if (!order.includes(name)) leave(name, runner);
      for (const [name, arm] of watched) {
        if (order.includes(name)) continue;
        watched.delete(name);
        void arm.stop();
      }
      for (const arm of spec.arms) {
        const addresses = options.endpoints[spec.id]?.[arm.name];
        if (addresses !== undefined) followEndpoints(spec, arm, addresses);
        else followProcess(spec, planOf(arm), stopped ? 0 : arm.scaling.minReplicas);
      }
    },
    arms: () => order.flatMap((name) => (processes.get(name) ?? watched.get(name))?.record() ?? []),
    replicas: () => [
      ...order.flatMap((name) => (processes.get(name) ?? watched.get(name))?.replicas() ?? []),
      ...[...leaving].flatMap(({ runner }) => runner.replicas()),
    ],
    stop: async (how) => {
      await Promise.all([
        ...[...processes.values()].map((runner) => runner.stop(how)),
        ...[...leaving].map(({ runner }) => runner.stop(how)),
        ...[...watched.values()].map((arm) => arm.stop()),
      ]);
    },
    measure: () => processes.forEach((runner) => runner.measure()),
  };
}
