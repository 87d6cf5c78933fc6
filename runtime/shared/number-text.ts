/**
 * A number as JSON text. −0 is written as a float, which keeps its sign: readers of JSON make the
 * integer 0 of `-0`.
 */
export const numberText = (value: number): string => (Object.is(value, -0) ? '-0.0' : `${value}`);
