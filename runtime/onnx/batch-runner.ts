import { joined, mayJoin, rowsOf, sameData, sameOutputs, split } from './join';
import { ServeError } from './errors';
import type { Independence } from './independence';
import type { Model } from './model';
import type { Tensors } from './tensor';
import { entryOf } from '../../lib/spec/entry';

/** For each input: joined runs with differing rows that must first equal single runs. */
const MIN_COMPARISONS = 3;
/** Afterwards one joined run in so many is compared, as long as the server lives. */
const COMPARE_ONE_IN = 1_000;
/** Requests of such a run that are run singly as well. */
const SAMPLE_MEMBERS = 4;

export type BatchableModel = Pick<Model, 'name' | 'inputs' | 'outputs' | 'run' | 'independence'>;

export interface BatchRunnerOptions {
  /** The author states that each row's answer depends on that row alone. */
  readonly isStated?: boolean | undefined;
  /** A joined run was compared with single runs and gave the same. */
  readonly onCompared?: () => void;
  /** Joining ended for this model, which was joined until now. */
  readonly onDifferent?: (reason: string) => void;
  readonly random?: () => number;
}

/** Why requests of a model may not share a run; undefined: they may. */
export function unbatchableReason(model: BatchableModel, isStated: boolean): string | undefined {
  if (!mayJoin(model)) return 'not every input and output has a leading dimension of any size';
  const shown: Independence = model.independence;
  return shown.isShown || isStated ? undefined : shown.reason;
}

/**
 * Runs several requests of one model in one go, where its graph shows that it works row by row, or
 * its author says so. Shapes do not tell (a graph that subtracts the mean of all rows has the same
 * shapes), and neither do comparisons (equal rows have the same mean). But a comparison can refute:
 * the first joined runs with rows that differ are done singly as well, and then some, for ever. One
 * difference ends joining for this model.
 */
export class BatchRunner {
  private isEnabled: boolean;
  private readonly comparisons = new Map<string, number>();
  private compared = 0;
  private readonly random: () => number;

  constructor(
    private readonly model: BatchableModel,
    private readonly options: BatchRunnerOptions = {},
  ) {
    this.isEnabled = unbatchableReason(model, options.isStated === true) === undefined;
    this.random = options.random ?? Math.random;
  }

  get isPossible(): boolean {
    return this.isEnabled;
  }

  /** Outputs of each item, or undefined when they have to be run singly (also when one spoils it). */
  async run(
    items: readonly Tensors[],
    outputs: readonly string[],
  ): Promise<readonly Tensors[] | undefined> {
    const rows = items.map((item) => rowsOf(item));
    if (!this.isEnabled || rows.includes(undefined)) return undefined;
    let parts: readonly Tensors[] | undefined;
    try {
      parts = split(await this.model.run(joined(items), outputs), rows as number[]);
    } catch (error) {
      if (error instanceof ServeError) return undefined;
      throw error;
    }
    if (parts === undefined) this.disable('it did not give a row for each row of a joined run');
    // Another run may have found the graph out while this one was under way.
    if (parts === undefined || !this.isEnabled) return undefined;
    const differing = this.unprovenOf(items);
    const members = this.membersToCompare(items, differing);
    if (members.length > 0 && !(await this.compare(items, parts, outputs, members))) {
      return undefined;
    }
    for (const name of differing) this.comparisons.set(name, (this.comparisons.get(name) ?? 0) + 1);
    return parts;
  }

  /** Inputs whose rows differ in this run, and have not done so often enough. */
  private unprovenOf(items: readonly Tensors[]): readonly string[] {
    const [first] = items;
    return this.model.inputs
      .map(({ name }) => name)
      .filter((name) => (this.comparisons.get(name) ?? 0) < MIN_COMPARISONS)
      .filter((name) => items.some((item) => !sameData(entryOf(item, name), entryOf(first, name))));
  }

  private membersToCompare(
    items: readonly Tensors[],
    differing: readonly string[],
  ): readonly number[] {
    const all = items.map((_, index) => index);
    if (differing.length > 0 || this.compared < MIN_COMPARISONS) return all;
    if (this.random() * COMPARE_ONE_IN >= 1) return [];
    const from = Math.floor(this.random() * all.length);
    return [...all.slice(from), ...all.slice(0, from)].slice(0, SAMPLE_MEMBERS);
  }

  /** Gives the same answer for each of these when it is run singly? */
  private async compare(
    items: readonly Tensors[],
    parts: readonly Tensors[],
    outputs: readonly string[],
    members: readonly number[],
  ): Promise<boolean> {
    for (const index of members) {
      const alone = await this.runAlone(items[index] as Tensors, outputs);
      if (alone === undefined || !sameOutputs(parts[index] as Tensors, alone)) {
        this.disable('a joined run gave another answer than a single one');
      }
      if (!this.isEnabled) return false;
    }
    this.compared += 1;
    this.options.onCompared?.();
    return true;
  }

  /** Undefined: the graph refuses it, which it did not when it was one of many. */
  private async runAlone(item: Tensors, outputs: readonly string[]): Promise<Tensors | undefined> {
    try {
      return await this.model.run(item, outputs);
    } catch (error) {
      if (error instanceof ServeError) return undefined;
      throw error;
    }
  }

  private disable(reason: string): void {
    if (!this.isEnabled) return;
    this.isEnabled = false;
    this.options.onDifferent?.(reason);
  }
}
