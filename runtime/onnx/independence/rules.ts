import { ELEMENTWISE } from './elementwise';
import type { OperatorRule, OperatorRules } from './elementwise';
import { LAYOUT } from './layout';
import { LINEAR } from './linear';
import { ML } from './ml';
import { REDUCE } from './reduce';

const byDomain = new Map<string, ReadonlyMap<string, OperatorRule>>(
  Object.entries({
    '': { ...ELEMENTWISE, ...LAYOUT, ...LINEAR, ...REDUCE },
    'ai.onnx.ml': ML,
  } satisfies Record<string, OperatorRules>).map(([domain, rules]) => [
    domain,
    new Map(Object.entries(rules)),
  ]),
);

/** How an operator treats rows; undefined: it is not known to keep them apart. */
export const ruleOf = (domain: string, operator: string): OperatorRule | undefined =>
  byDomain.get(domain)?.get(operator);

const REPEATABLE = new Set([
  'AffineGrid',
  'BlackmanWindow',
  'Compress',
  'DynamicQuantizeLinear',
  'EyeLike',
  'HammingWindow',
  'HannWindow',
  'NonZero',
  'Range',
  'ScatterND',
  'Unique',
]);

/** Does the operator always give the same for the same inputs? Then a value of constants is one. */
export const isRepeatable = (domain: string, operator: string): boolean =>
  // In training it is a matter of chance.
  (ruleOf(domain, operator) !== undefined && operator !== 'Dropout') ||
  (domain === '' && REPEATABLE.has(operator));

/**
 * Operators whose first inputs are followed as lists of sizes: their result is known, or they prove
 * nothing.
 */
const CARRIERS = new Set([
  'Add',
  'Cast',
  'Concat',
  'Equal',
  'Gather',
  'Identity',
  'Mul',
  'Reshape',
  'Slice',
  'Squeeze',
  'Sub',
  'Unsqueeze',
  'Where',
]);

/** Operators that take the sizes of their result. */
const SIZED = new Map<string, readonly number[]>([
  ['ConstantOfShape', [0]],
  ['Expand', [1]],
  ['Reshape', [1]],
  ['Resize', [3]],
  ['Tile', [1]],
]);

export const carriesSizes = (operator: string): boolean => CARRIERS.has(operator);
export const takesSizes = (operator: string, input: number): boolean =>
  SIZED.get(operator)?.includes(input) === true;
