import type { Arm, ModelSpec } from '../../../lib/spec';
import { faultWhy } from '../../core/lifecycle/fault';
import type { ArmRecord, ReplicaRecord, Why } from '../../core/lifecycle/snapshot';
import { ArmRunner } from './arm';
import { EndpointArm } from './endpoints';
import { desiredOf } from '../registry';
import type { ReplicaPlan, SpawnServer } from './replica-plan';
import { startReplica } from './replica';
import { entryOf } from '../../../lib/spec/entry';

/** `local.endpoints`: model → arm → addresses. */
export type EndpointAddresses = Readonly<
  Record<string, Readonly<Record<string, readonly string[]>>>
>;

/** Names of models and arms are user input: `constructor` must not find a method. */
function addressesOf(
  endpoints: EndpointAddresses,
  model: string,
  arm: string,
): readonly string[] | undefined {
  return entryOf(entryOf(endpoints, model), arm);
}

/** Arms without endpoints, which run as processes. */
export const processArms = (
  endpoints: EndpointAddresses,
  { id, arms }: ModelSpec,
): readonly Arm[] => arms.filter(({ name }) => addressesOf(endpoints, id, name) === undefined);

export interface RunnerOptions {
  readonly spawnServer: SpawnServer;
  readonly baseEnv: NodeJS.ProcessEnv;
  readonly endpoints: EndpointAddresses;
  readonly warn: (message: string) => void;
  readonly now: () => number;
  readonly random: () => number;
  readonly onChange: () => void;
}

/** How to start the processes of an arm, or why it cannot run. */
export type PlannedArm =
  | { readonly kind: 'plan'; readonly plan: ReplicaPlan }
  | { readonly kind: 'blocked'; readonly why: Why };

/** Desired state of a model. */
export interface ModelGoal {
  readonly spec: ModelSpec;
  /** Stopped by hand: no processes. */
  readonly stopped: boolean;
  /** Called for arms that run as processes. */
  readonly planOf: (arm: Arm) => PlannedArm;
}

/** Record of an arm that cannot run. */
function blockedRecord({ name, version }: Arm, desired: number, why: Why): ArmRecord {
  return { name, version, desired, current: 0, ready: 0, updated: 0, why };
}

/** The arms of one model: processes, or external endpoints. */
export class ModelRunner {
  private readonly processes = new Map<string, ArmRunner>();
  private readonly watched = new Map<string, EndpointArm>();
  /** Arms the definition no longer has, until their last process exits. */
  private readonly leaving = new Set<ArmRunner>();
  private readonly blocked = new Map<string, ArmRecord>();
  /** Errors of the last reconciliation by arm. */
  private readonly faults = new Map<string, Why>();
  /** Arm → requested replicas; initially one, even for an arm that may sleep. */
  private readonly scaled = new Map<string, number>();
  private order: readonly string[] = [];
  private count = 0;

  constructor(private readonly options: RunnerOptions) {}

  follow({ spec, stopped, planOf }: ModelGoal): void {
    this.order = spec.arms.map(({ name }) => name);
    this.dropOthers();
    for (const arm of spec.arms) this.followArm(spec, arm, this.desiredOf(arm, stopped), planOf);
  }

  /** An error of one arm does not affect the others. */
  private followArm(spec: ModelSpec, arm: Arm, desired: number, planOf: ModelGoal['planOf']): void {
    const addresses = addressesOf(this.options.endpoints, spec.id, arm.name);
    try {
      if (addresses !== undefined) this.followEndpoints(spec, arm, addresses);
      else this.followProcess(spec, arm, desired, planOf(arm));
      this.faults.delete(arm.name);
    } catch (error) {
      const why = faultWhy(error, `arm ${arm.name} of model ${spec.id}`, this.options.now());
      this.options.warn(`${spec.id}, ${arm.name}: ${why.message}`);
      this.faults.set(arm.name, why);
      if (this.runnerOf(arm.name) === undefined) {
        this.blocked.set(arm.name, blockedRecord(arm, desired, why));
      }
    }
  }

  /** False: the arm has external endpoints and cannot be scaled. */
  scale(arm: Arm, replicas: number): boolean {
    if (this.watched.has(arm.name)) return false;
    this.scaled.set(arm.name, replicas);
    this.processes.get(arm.name)?.scale(this.desiredOf(arm, false));
    return true;
  }

  arms(): readonly ArmRecord[] {
    return this.order.flatMap((name) => this.recordOf(name) ?? []);
  }

  private recordOf(name: string): ArmRecord | undefined {
    const record = this.blocked.get(name) ?? this.runnerOf(name)?.record();
    const why = this.faults.get(name);
    return record && why ? { ...record, why } : record;
  }

  replicas(): readonly ReplicaRecord[] {
    const all = [...this.order.flatMap((name) => this.runnerOf(name) ?? []), ...this.leaving];
    // A replica that stops before it listened has no address.
    return all
      .flatMap((arm) => arm.replicas())
      .filter(({ phase, port }) => phase !== 'terminating' || port > 0);
  }

  async stop(how: { readonly drain: boolean }): Promise<void> {
    const all = [...this.processes.values(), ...this.leaving, ...this.watched.values()];
    await Promise.all(all.map((arm) => arm.stop(how)));
  }

  /** @returns whether there was anything to measure */
  measure(): boolean {
    for (const runner of this.processes.values()) runner.measure();
    return this.processes.size > 0;
  }

  private desiredOf(arm: Arm, stopped: boolean): number {
    return stopped ? 0 : desiredOf(arm, this.scaled.get(arm.name) ?? 1);
  }

  private runnerOf(name: string): ArmRunner | EndpointArm | undefined {
    return this.processes.get(name) ?? this.watched.get(name);
  }

  private dropOthers(): void {
    for (const name of this.scaled.keys()) {
      if (!this.order.includes(name)) this.scaled.delete(name);
    }
    for (const named of [this.blocked, this.faults]) {
      for (const name of named.keys()) if (!this.order.includes(name)) named.delete(name);
    }
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

  private followProcess(spec: ModelSpec, arm: Arm, desired: number, planned: PlannedArm): void {
    const running = this.processes.get(arm.name);
    if (planned.kind === 'blocked') {
      // Keep the running processes.
      if (running !== undefined) running.scale(desired);
      else this.blocked.set(arm.name, blockedRecord(arm, desired, planned.why));
      return;
    }
    const { plan } = planned;
    this.blocked.delete(arm.name);
    if (running === undefined) this.processes.set(arm.name, this.startArm(spec, plan, desired));
    else running.setGoal({ plan, desired });
  }

  private startArm({ slug, id }: ModelSpec, first: ReplicaPlan, desired: number): ArmRunner {
    const { spawnServer, baseEnv, warn, now, random } = this.options;
    const nextId = (): string => `${slug}-${first.name}-${process.pid}-${(this.count += 1)}`;
    const fixed = { model: id, spawnServer, baseEnv, warn, now, random, nextId };
    return new ArmRunner(
      { plan: first, desired },
      (plan, onChange) => startReplica({ ...fixed, plan, onChange }),
      this.options.onChange,
    );
  }

  private followEndpoints(spec: ModelSpec, arm: Arm, addresses: readonly string[]): void {
    const { now, warn, onChange } = this.options;
    const next = { spec, arm, addresses, now, warn, onChange };
    const running = this.watched.get(arm.name);
    // A changed share must not reset the state of the endpoints.
    if (running?.watches(next) === true) return;
    void running?.stop();
    this.blocked.delete(arm.name);
    this.watched.set(arm.name, new EndpointArm(next));
  }
}
