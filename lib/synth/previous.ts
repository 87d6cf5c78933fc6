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
  // The only finding that compares two definitions is about candidates.
  if (block === undefined || !block.includes('"candidates"')) return undefined;
  return parseModel(JSON.parse(block));
}

/**
 * The definitions of a folder of manifests: the committed state, which the next synth replaces.
 * Only definitions with candidates are read, since only findings about candidates need them. A
 * manifest that is missing, damaged or of an older schema gives none; the next synth repairs it.
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
