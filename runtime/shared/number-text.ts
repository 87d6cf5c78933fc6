/** A number as JSON text. −0 keeps its sign, as a float: readers of JSON make the integer 0 of `-0`. */
export const numberText = (value: number): string => (Object.is(value, -0) ? '-0.0' : `${value}`);
