import { joined, mayJoin, rowsOf, sameData, sameOutputs, split } from './join';
import { ServeError } from './errors';
import type { Independence } from './independence';
import type { Model } from './model';
import type { Tensors } from './tensor';
import { entryOf } from '../../lib/spec/entry';

/** Each input has had different rows in so many joined runs that gave what single runs give. */
const PROOFS = 3;
/** Afterwards one joined run in so many is compared, as long as the server lives. */
const SAMPLE_EVERY = 1_000;
/** Requests of such a run that are run singly as well. */
const SAMPLE_MEMBERS = 4;

export type Joinable = Pick<Model, 'name' | 'inputs' | 'outputs' | 'run' | 'independence'>;

export interface JoinerOptions {
  /** The author says that each row's answer depends on that row alone. */
  readonly isStated?: boolean | undefined;
  /** A joined run was compared with single runs and gave the same. */
  readonly onCompared?: () => void;
  /** Joining ended for this model, which was joined until now. */
  readonly onDifferent?: (reason: string) => void;
  readonly random?: () => number;
}

/** Why requests of a model may not share a run; undefined: they may. */
export function apartBecause(model: Joinable, isStated: boolean): string | undefined {
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
export class Joiner {
  private isPossible: boolean;
  private readonly proofs = new Map<string, number>();
  private compared = 0;
  private readonly random: () => number;

  constructor(
    private readonly model: Joinable,
    private readonly options: JoinerOptions = {},
  ) {
    this.isPossible = apartBecause(model, options.isStated === true) === undefined;
    this.random = options.random ?? Math.random;
  }

  get possible(): boolean {
    return this.isPossible;
  }

  /** Outputs of each item, or undefined when they have to be run singly (also when one spoils it). */
  async run(
    items: readonly Tensors[],
    outputs: readonly string[],
  ): Promise<readonly Tensors[] | undefined> {
    const rows = items.map((item) => rowsOf(item));
    if (!this.possible || rows.includes(undefined)) return undefined;
    let parts: readonly Tensors[] | undefined;
    try {
      parts = split(await this.model.run(joined(items), outputs), rows as number[]);
    } catch (error) {
      if (error instanceof ServeError) return undefined;
      throw error;
    }
    if (parts === undefined) this.end('it did not give a row for each row of a joined run');
    // Another run may have found the graph out while this one was under way.
    if (parts === undefined || !this.possible) return undefined;
    const differing = this.unprovenOf(items);
    const members = this.membersToCompare(items, differing);
    if (members.length > 0 && !(await this.compare(items, parts, outputs, members))) {
      return undefined;
    }
    for (const name of differing) this.proofs.set(name, (this.proofs.get(name) ?? 0) + 1);
    return parts;
  }

  /** Inputs whose rows differ in this run, and have not done so often enough. */
  private unprovenOf(items: readonly Tensors[]): readonly string[] {
    const [first] = items;
    return this.model.inputs
      .map(({ name }) => name)
      .filter((name) => (this.proofs.get(name) ?? 0) < PROOFS)
      .filter((name) => items.some((item) => !sameData(entryOf(item, name), entryOf(first, name))));
  }

  private membersToCompare(
    items: readonly Tensors[],
    differing: readonly string[],
  ): readonly number[] {
    const all = items.map((_, index) => index);
    if (differing.length > 0 || this.compared < PROOFS) return all;
    if (this.random() * SAMPLE_EVERY >= 1) return [];
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
      const alone = await this.alone(items[index] as Tensors, outputs);
      if (alone === undefined || !sameOutputs(parts[index] as Tensors, alone)) {
        this.end('a joined run gave another answer than a single one');
      }
      if (!this.possible) return false;
    }
    this.compared += 1;
    this.options.onCompared?.();
    return true;
  }

  /** Undefined: the graph refuses it, which it did not when it was one of many. */
  private async alone(item: Tensors, outputs: readonly string[]): Promise<Tensors | undefined> {
    try {
      return await this.model.run(item, outputs);
    } catch (error) {
      if (error instanceof ServeError) return undefined;
      throw error;
    }
  }

  private end(reason: string): void {
    if (!this.isPossible) return;
    this.isPossible = false;
    this.options.onDifferent?.(reason);
  }
}
