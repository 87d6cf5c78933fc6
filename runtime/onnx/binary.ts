import { joinStrings, splitStrings } from '../shared/binary';
import { badRequest, shown } from './errors';
import { checkString } from './elements';
import { elementsOf, shapeText } from './tensor';
import type { ElementType, TensorData } from './element-type';
import type { Tensor } from './tensor';

// The binary tensor data extension of the Open Inference Protocol: elements little-endian and
// row-major, strings each behind their length in four bytes.

function readStrings(bytes: Buffer, count: number, name: string): string[] {
  const strings = splitStrings(bytes);
  strings.forEach((text, index) => checkString(text, name, index));
  if (strings.length !== count) {
    throw badRequest(
      `input '${name}': its binary data holds ${strings.length} strings, its shape needs ${count}`,
    );
  }
  return strings;
}

/** The elements where they lie when they are aligned, else a copy: typed arrays must be aligned. */
function numbersAt(bytes: Buffer, datatype: ElementType, count: number): TensorData {
  const aligned = bytes.byteOffset % datatype.bytes === 0;
  const { buffer, byteOffset } = aligned ? bytes : new Uint8Array(bytes);
  return datatype.view?.(buffer, byteOffset, count) ?? datatype.make(count);
}

/** In a loop: findIndex takes half a second for ten million bits. @throws ServeError */
function checkBits(bits: Uint8Array, name: string): void {
  for (let i = 0; i < bits.length; i += 1) {
    if ((bits[i] ?? 0) <= 1) continue;
    throw badRequest(`input '${name}': element ${i} is ${shown(bits[i])}; BOOL takes 0 and 1`);
  }
}

/** Reads an input's binary data. @throws ServeError, TensorFault */
export function readBinary(
  bytes: Buffer,
  datatype: ElementType,
  dims: readonly number[],
  name: string,
): TensorData {
  const count = elementsOf(dims);
  if (datatype.bytes === 0) return readStrings(bytes, count, name);
  if (bytes.length !== count * datatype.bytes) {
    throw badRequest(
      `input '${name}': ${bytes.length} bytes of binary data, ${datatype.v2} of shape ` +
        `${shapeText(dims)} has ${count * datatype.bytes}`,
    );
  }
  const data = numbersAt(bytes, datatype, count);
  if (datatype.elements.kind === 'bool') checkBits(data as Uint8Array, name);
  return data;
}

/** An output as binary data; numbers are not copied. */
export function writeBinary({ datatype, data }: Tensor): Buffer {
  if (datatype.bytes === 0) return joinStrings(data as readonly string[]);
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return Buffer.from(buffer, byteOffset, byteLength);
}
