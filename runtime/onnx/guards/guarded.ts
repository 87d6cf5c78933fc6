import type { Node } from '../independence/node';

/** A node that is replaced by others. */
export interface Guarded {
  readonly own: Node;
  /** The fields of its message besides inputs and outputs. */
  readonly rest: readonly Uint8Array[];
  /** A name for an added value; exporters do not use such names. */
  readonly name: (what: string) => string;
}
