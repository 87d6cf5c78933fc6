// IEEE 754 half precision by hand: Node 20 has no Float16Array, so ONNX Runtime takes and returns
// the 16 bits.

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

const EXPONENT_GAP = 127 - 15;

/** A mantissa that loses `shift` bits, rounded to nearest, ties to even. */
function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const half = 1 << (shift - 1);
  const rest = value & ((1 << shift) - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

/** The 16 bits nearest to a number; too large becomes infinity, too small zero. */
export function toHalf(value: number): number {
  single[0] = value;
  const bits = singleBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - EXPONENT_GAP;
  const mantissa = bits & 0x7fffff;
  if (exponent === 0xff - EXPONENT_GAP) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  if (exponent >= 0x1f) return sign | 0x7c00;
  // A carry out of the mantissa correctly increments the exponent.
  if (exponent > 0) return sign | ((exponent << 10) + roundShift(mantissa, 13));
  if (exponent < -10) return sign;
  return sign | roundShift(mantissa | 0x800000, 14 - exponent);
}

/** The number of 16 bits. */
export function fromHalf(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
