import type { IntegerMode } from './json';
import type { Port } from './tensor';

/** The properties of a model that its codecs need: they read requests and write responses. */
export interface ModelFacts {
  readonly name: string;
  readonly version: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly inputByName: ReadonlyMap<string, Port>;
  readonly outputByName: ReadonlyMap<string, Port>;
  /** metadata_props of the file. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Labels of the columns of an output, where the file states them. */
  readonly classes: ReadonlyMap<string, readonly string[]>;
  /** How its requests have to be read. */
  readonly integerMode: IntegerMode;
}
