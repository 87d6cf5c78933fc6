/** One step of a path: to a member by its name, or to every member and element. */
export interface JsonPathStep {
  /** Undefined: every member and element. */
  readonly name: string | undefined;
  /** At any depth below, not only one deeper. */
  readonly isDeep: boolean;
}

export type JsonPath = readonly JsonPathStep[];

/** How a path must be written; for messages. */
export const JSON_PATH_FORM =
  "a JSON path of names: $.a.b, $.a[*].b, $..name, $['a name']; at most 16 steps";

const MAX_STEPS = 16;

/** A step of RFC 9535: `.name`, `['name']`, `.*`, `[*]`, each with `..` for any depth. */
const STEP =
  /(?:(?<deep>\.\.)|\.)(?<name>[\p{L}_][\p{L}\p{N}_]*|\*)|(?<deepBracket>\.\.)?\[(?:'(?<single>[^'\\]+)'|"(?<double>[^"\\]+)"|\*)\]/uy;

/** The steps of a path; undefined: it is not one of the supported form. */
export function parseJsonPath(text: string): JsonPath | undefined {
  if (!text.startsWith('$')) return undefined;
  const steps: JsonPathStep[] = [];
  for (STEP.lastIndex = 1; STEP.lastIndex < text.length;) {
    const found = STEP.exec(text)?.groups;
    if (found === undefined || steps.length === MAX_STEPS) return undefined;
    const { deep, name, deepBracket, single, double } = found;
    const isDeep = deep !== undefined || deepBracket !== undefined;
    steps.push({ name: name === '*' ? undefined : (name ?? single ?? double), isDeep });
  }
  // `$` alone is all of a body: then nothing is to be sampled.
  return steps.length === 0 ? undefined : steps;
}
