import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFINITION_KEY } from '../objects';
import type { ModelSpec } from '../spec';
import { parseModel } from '../spec';
import { withoutCarriageReturns } from './lineendings';

/** The definition a manifest was made from, by the manifest’s name (`production/iris.k8s.yaml`). */
export type Previous = (manifest: string) => ModelSpec | undefined;

/** The stored definition as our manifests hold it. Parsing a thousand files as YAML takes seconds. */
const STORED = new RegExp(
  `^  ${DEFINITION_KEY.replaceAll('.', '\\.')}: \\|-\\n((?: {4}.*(?:\\n|$))+)`,
  'm',
);

function definitionIn(text: string): ModelSpec | undefined {
  const [, block] = STORED.exec(text) ?? [];
  // The only finding about the way from one definition to the next is about candidates.
  if (block === undefined || !block.includes('"candidates"')) return undefined;
  return parseModel(JSON.parse(block));
}

/**
 * What a folder of manifests was made from: the committed state, which the next synth replaces.
 * Knows definitions with candidates, which are those that findings ask for. A manifest that is
 * missing, damaged or of an older schema gives nothing; the next synth mends it.
 */
export function previousIn(out: string): Previous {
  return (manifest) => {
    const path = join(out, manifest);
    if (!existsSync(path)) return undefined;
    try {
      return definitionIn(withoutCarriageReturns(readFileSync(path, 'utf8')));
    } catch {
      return undefined;
    }
  };
}
