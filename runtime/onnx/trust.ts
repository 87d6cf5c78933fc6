import { joined, mayJoin, rowsOf, sameOutputs, split } from './join';
import { ServeError } from './errors';
import type { Model } from './model';
import type { Tensors } from './tensor';

/** So many joined runs must have given what single runs give before joining is believed in. */
const PROOFS = 3;

/** What is known of joining requests of one model. */
type Trust =
  | { readonly kind: 'unproven'; readonly proofs: number }
  | { readonly kind: 'proven' }
  | { readonly kind: 'refuted' };

/**
 * Runs several requests of one model in one go. Shapes alone do not tell whether a graph works row
 * by row (one that subtracts the mean of the batch has the same shapes), so the first joined runs
 * are done singly as well and compared; one difference ends joining for this model, for good.
 */
export class Joiner {
  private trust: Trust;

  constructor(private readonly model: Model) {
    this.trust = mayJoin(model) ? { kind: 'unproven', proofs: 0 } : { kind: 'refuted' };
  }

  get possible(): boolean {
    return this.trust.kind !== 'refuted';
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
    if (parts === undefined) this.trust = { kind: 'refuted' };
    // Another run may have found the graph out while this one was under way.
    if (parts === undefined || !this.possible) return undefined;
    return this.trust.kind === 'unproven' ? this.prove(items, parts, outputs) : parts;
  }

  private async prove(
    items: readonly Tensors[],
    parts: readonly Tensors[],
    outputs: readonly string[],
  ): Promise<readonly Tensors[] | undefined> {
    for (const [index, item] of items.entries()) {
      const alone = await this.model.run(item, outputs);
      if (!sameOutputs(parts[index] as Tensors, alone)) {
        this.trust = { kind: 'refuted' };
        return undefined;
      }
    }
    if (this.trust.kind === 'unproven') {
      const proofs = this.trust.proofs + 1;
      this.trust = proofs >= PROOFS ? { kind: 'proven' } : { kind: 'unproven', proofs };
    }
    return parts;
  }
}
