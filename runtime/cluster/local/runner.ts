import type { Arm, ModelSpec } from '../../../lib/spec';
import type { ArmRecord, ReplicaRecord } from '../../core/snapshot';
import { ArmRunner } from './arm';
import { EndpointArm } from './endpoints';
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

/** The arms of one model: processes, or endpoints that someone else runs. */
export class ModelRunner {
  private readonly processes = new Map<string, ArmRunner>();
  private readonly watched = new Map<string, EndpointArm>();
  /** Arms the definition no longer has, until their last process is gone. */
  private readonly leaving = new Set<ArmRunner>();
  private order: readonly string[] = [];
  private count = 0;

  constructor(private readonly options: RunnerOptions) {}

  /** Follows a definition; `planOf` is asked for arms that run as processes. */
  follow(spec: ModelSpec, stopped: boolean, planOf: (arm: Arm) => ArmPlan): void {
    this.order = spec.arms.map(({ name }) => name);
    this.dropOthers();
    for (const arm of spec.arms) {
      const addresses = this.options.endpoints[spec.id]?.[arm.name];
      if (addresses !== undefined) this.followEndpoints(spec, arm, addresses);
      else this.followProcess(spec, planOf(arm), stopped ? 0 : arm.scaling.minReplicas);
    }
  }

  arms(): readonly ArmRecord[] {
    return this.inOrder().map((arm) => arm.record());
  }

  replicas(): readonly ReplicaRecord[] {
    return [...this.inOrder(), ...this.leaving].flatMap((arm) => arm.replicas());
  }

  async stop(how: { readonly drain: boolean }): Promise<void> {
    const all = [...this.processes.values(), ...this.leaving, ...this.watched.values()];
    await Promise.all(all.map((arm) => arm.stop(how)));
  }

  measure(): void {
    for (const runner of this.processes.values()) runner.measure();
  }

  private inOrder(): readonly (ArmRunner | EndpointArm)[] {
    return this.order.flatMap((name) => this.processes.get(name) ?? this.watched.get(name) ?? []);
  }

  private dropOthers(): void {
    for (const [name, runner] of this.processes) {
      if (!this.order.includes(name)) void this.leave(name, runner);
    }
    for (const [name, arm] of this.watched) {
      if (this.order.includes(name)) continue;
      this.watched.delete(name);
      void arm.stop();
    }
  }

  private async leave(name: string, runner: ArmRunner): Promise<void> {
    this.processes.delete(name);
    this.leaving.add(runner);
    await runner.stop({ drain: true });
    this.leaving.delete(runner);
    this.options.onChange();
  }

  private followProcess(spec: ModelSpec, plan: ArmPlan, desired: number): void {
    const running = this.processes.get(plan.name);
    if (running === undefined) this.processes.set(plan.name, this.startArm(spec, plan, desired));
    else running.setGoal({ plan, desired });
  }

  private startArm({ slug, id }: ModelSpec, first: ArmPlan, desired: number): ArmRunner {
    const { spawnServer, baseEnv, now, random } = this.options;
    const nextId = (): string => `${slug}-${first.name}-${process.pid}-${(this.count += 1)}`;
    const fixed = { model: id, spawnServer, baseEnv, now, random, nextId };
    return new ArmRunner(
      { plan: first, desired },
      (plan, onChange) => startReplica({ ...fixed, plan, onChange }),
      this.options.onChange,
    );
  }

  private followEndpoints(spec: ModelSpec, arm: Arm, addresses: readonly string[]): void {
    const { now, onChange } = this.options;
    const next = { spec, arm, addresses, now, onChange };
    const running = this.watched.get(arm.name);
    // A changed share must not make replicas unknown for a moment.
    if (running?.watches(next) === true) return;
    void running?.stop();
    this.watched.set(arm.name, new EndpointArm(next));
  }
}
