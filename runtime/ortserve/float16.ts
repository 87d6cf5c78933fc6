// IEEE 754 binary16; Node 20 has no Float16Array.

const scratch = new DataView(new ArrayBuffer(8));

/** The 16 bits of the nearest half, ties to even; beyond 65,519.99 it is an infinity. */
export function halfBits(value: number): number {
  scratch.setFloat64(0, value);
  const high = scratch.getUint32(0);
  const sign = (high >>> 16) & 0x8000;
  if (Number.isNaN(value)) return 0x7e00;
  const size = Math.abs(value);
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) {
    // Below the smallest normal half, halves are whole multiples of 2^-24.
    return sign | roundHalfEven(size * 2 ** 24);
  }
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const fraction = size / 2 ** exponent - 1;
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundHalfEven(fraction * 1024));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor + (floor % 2);
  return rest > 0.5 ? floor + 1 : floor;
}

export function halfValue(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
