import { setTimeout as sleep } from 'node:timers/promises';
import { faultWhy } from '../../core/lifecycle/fault';
import type { ReplicaPhase, ReplicaRecord, Why } from '../../core/lifecycle/snapshot';
import type { Child } from './child';
import { startChild, exitWhy } from './child';
import type { ReplicaPlan, SpawnServer } from './replica-plan';
import { probe } from './probe';
import type { ProcessUsage } from './usage';
import { createUsageMeter } from './usage';

export interface ReplicaOptions {
  readonly model: string;
  readonly plan: ReplicaPlan;
  readonly spawnServer: SpawnServer;
  /** Environment that the child inherits, such as PATH. */
  readonly baseEnv: NodeJS.ProcessEnv;
  readonly now: () => number;
  readonly random: () => number;
  /** Called when a process ended, with the cause. */
  readonly warn: (message: string) => void;
  /** Returns a unique id for each process. */
  readonly nextId: () => string;
  readonly onChange: () => void;
}

/** One replica of an arm: a process, or the pause before its restart. */
export interface ReplicaProcess {
  readonly plan: ReplicaPlan;
  readonly record: () => ReplicaRecord;
  /** Takes the times of a new plan without a restart. */
  readonly adopt: (plan: ReplicaPlan) => void;
  /**
   * Drains and ends it; resolves when the process is gone. Called again without a drain it cuts
   * the first one short.
   */
  readonly stop: (options: { readonly drain: boolean }) => Promise<void>;
  /** Measures what it uses since the last call. */
  readonly measure: () => void;
}

/** Consecutive failures until a process counts as hung, like Kubernetes' failureThreshold. */
const FAILURES = 3;
/** Period of probes until the model is loaded. */
const STARTING_PROBE_MS = 100;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;
/** A process that was ready for this long resets the backoff. */
const FORGIVEN_MS = 60_000;
/** Time between SIGTERM and SIGKILL without a drain. */
const ABRUPT_GRACE_MS = 1000;

/** 0.2 s, doubling to 30 s, ± 25 % so that several do not start in step. */
function pauseMs(failures: number, random: number): number {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.max(0, failures - 1));
  return pause * (0.75 + random / 2);
}

const objectOf = ({ pid }: Child): string => `process ${pid}`;

class LocalReplica implements ReplicaProcess {
  plan: ReplicaPlan;
  private id: string;
  private phase: ReplicaPhase = 'starting';
  private since: number;
  private port = 0;
  private restarts = 0;
  private failures = 0;
  private why: Why | undefined;
  private usage: ProcessUsage | undefined;
  private measureUsage: () => ProcessUsage | undefined = () => undefined;
  private child: Child | undefined;
  private readonly stopping = new AbortController();
  private readonly hurry = new AbortController();
  private readonly gone = new AbortController();
  private readonly done: Promise<void>;

  constructor(private readonly options: ReplicaOptions) {
    this.plan = options.plan;
    this.id = options.nextId();
    this.since = options.now();
    this.done = this.run().finally(() => this.gone.abort());
  }

  record(): ReplicaRecord {
    const { id, plan, port, phase, restarts, since, why, usage } = this;
    const { name: arm, version } = plan;
    const fixed = { id, arm, version, host: '127.0.0.1', port, phase, restarts, since };
    return { ...fixed, ...(why && { why }), ...(usage && phase === 'ready' && { usage }) };
  }

  measure(): void {
    this.usage = this.measureUsage();
  }

  adopt(plan: ReplicaPlan): void {
    this.plan = plan;
  }

  async stop({ drain }: { readonly drain: boolean }): Promise<void> {
    if (!drain) this.hurry.abort();
    if (!this.stopping.signal.aborted) void this.end();
    await this.done;
  }

  private async end(): Promise<void> {
    const { preStopMs, graceMs } = this.plan.times;
    const routed = this.phase === 'ready';
    // Never routed: clear the port, so that no request is sent here.
    if (!routed) this.port = 0;
    this.stopping.abort();
    this.enter('terminating');
    // Requests on old routes may still arrive.
    if (routed) await this.unhurried(preStopMs);
    this.child?.kill('SIGTERM');
    await Promise.race([this.done, this.unhurried(graceMs)]);
    await Promise.race([this.done, sleep(ABRUPT_GRACE_MS, undefined, { ref: false })]);
    this.child?.kill('SIGKILL');
  }

  private async unhurried(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.hurry.signal, this.gone.signal]);
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  private enter(phase: ReplicaPhase, why?: Why): void {
    this.phase = phase;
    this.why = why;
    this.since = this.options.now();
    this.options.onChange();
  }

  private get wanted(): boolean {
    return !this.stopping.signal.aborted;
  }

  /** Starts a process and restarts it after each exit until stopped. */
  private async run(): Promise<void> {
    while (this.wanted) {
      await this.runOnce().catch((error: unknown) => this.fault(error));
      if (!this.wanted) return;
      this.restarts += 1;
      const pause = pauseMs(this.failures, this.options.random());
      await sleep(pause, undefined, { signal: this.stopping.signal }).catch(() => undefined);
      if (!this.wanted) return;
      this.id = this.options.nextId();
      this.enter('starting', this.why);
    }
  }

  private async runOnce(): Promise<void> {
    const { spawnServer, plan, baseEnv, now } = this.options;
    const child = startChild({
      command: spawnServer.command,
      args: [...spawnServer.args, ...plan.args],
      env: { ...baseEnv, ...plan.env },
    });
    this.child = child;
    this.port = 0;
    this.measureUsage = createUsageMeter(child.pid, now);
    const over = new AbortController();
    void child.ended.then(() => over.abort());
    await this.supervise(child, over.signal);
    const end = await child.ended;
    this.child = undefined;
    this.usage = undefined;
    if (!this.wanted) return;
    this.failures = this.wasWell() ? 1 : this.failures + 1;
    const told = this.why?.cause === 'probe-failing' && this.why.object === objectOf(child);
    const why = told ? this.why : this.named(exitWhy(end, now(), child.pid));
    this.options.warn(`${this.options.model}, ${plan.name}: ${why?.message}`);
    this.enter('failed', why);
  }

  /** Replaces the path of the stored file by the URI of the definition. */
  private named(why: Why): Why {
    const { file, uri } = this.options.plan.artifact;
    return { ...why, message: why.message.replaceAll(file, uri) };
  }

  /** An error while this process was started or probed becomes its status; it is restarted. */
  private fault(error: unknown): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
    this.usage = undefined;
    if (!this.wanted) return;
    this.failures += 1;
    const { model, plan, now, warn } = this.options;
    const why = faultWhy(error, `arm ${plan.name} of model ${model}`, now());
    warn(`${model}, ${plan.name}: ${why.message}`);
    this.enter('failed', why);
  }

  private wasWell(): boolean {
    return this.phase === 'ready' && this.options.now() - this.since > FORGIVEN_MS;
  }

  /** Waits until the model is loaded, then probes it until the process exits. */
  private async supervise(child: Child, over: AbortSignal): Promise<void> {
    const problem = await this.untilReady(child, over);
    if (over.aborted || !this.wanted) return;
    if (problem !== undefined) return this.giveUp(child, problem);
    this.enter('ready');
    await this.whileWell(child, over);
  }

  private giveUp(child: Child, problem: string): void {
    const message = `${problem}; it is started again`;
    const since = this.options.now();
    this.why = { cause: 'probe-failing', message, object: objectOf(child), since };
    child.kill('SIGKILL');
  }

  private async check(): Promise<string | undefined> {
    const check = { http: '/v2/models/{m}/ready' };
    return (await probe('127.0.0.1', this.port, check, this.options.model))?.message;
  }

  private async untilReady(child: Child, over: AbortSignal): Promise<string | undefined> {
    const { startupMs } = this.plan.times;
    const end = this.options.now() + startupMs;
    const late = `the model was not loaded in ${startupMs / 1000} s (health_check.startup_seconds)`;
    const tooLate = sleep(startupMs, 0, { signal: over, ref: false }).catch(() => 0);
    const port = await Promise.race([child.listening, tooLate]).catch(() => 0);
    if (this.wanted) this.port = port;
    if (port === 0) return over.aborted ? undefined : late;
    while (!over.aborted && this.wanted) {
      const problem = await this.check();
      if (problem === undefined) return undefined;
      if (this.options.now() > end) return `${late}: ${problem}`;
      await sleep(STARTING_PROBE_MS, undefined, { signal: over }).catch(() => undefined);
    }
    return undefined;
  }

  private async whileWell(child: Child, over: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([over, this.stopping.signal]);
    for (let failures = 0; !ended.aborted;) {
      const { periodMs } = this.plan.times;
      await sleep(periodMs, undefined, { signal: ended }).catch(() => undefined);
      if (ended.aborted) return;
      const problem = await this.check();
      failures = problem === undefined ? 0 : failures + 1;
      if (failures === FAILURES && !ended.aborted) {
        return this.giveUp(child, `${problem} (${FAILURES} times)`);
      }
    }
  }
}

export function startReplica(options: ReplicaOptions): ReplicaProcess {
  return new LocalReplica(options);
}
