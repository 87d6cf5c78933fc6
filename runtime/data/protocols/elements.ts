import { splitStrings } from '../../shared/binary';
import { fromHalf } from '../../shared/float16';
import { Refusal } from '../errors';
import { Exact } from './exact';

// Elements of a binary tensor as JSON can say them.

interface Reader {
  readonly bytes: number;
  readonly at: (data: Buffer, offset: number) => unknown;
}

/** An integer as it is, beyond 2^53 too. */
function integer(value: bigint): number | Exact {
  const near = Number(value);
  return Number.isSafeInteger(near) ? near : new Exact(String(value));
}

const READERS: Readonly<Record<string, Reader>> = {
  FP64: { bytes: 8, at: (data, offset) => data.readDoubleLE(offset) },
  FP32: { bytes: 4, at: (data, offset) => data.readFloatLE(offset) },
  FP16: { bytes: 2, at: (data, offset) => fromHalf(data.readUInt16LE(offset)) },
  INT8: { bytes: 1, at: (data, offset) => data.readInt8(offset) },
  INT16: { bytes: 2, at: (data, offset) => data.readInt16LE(offset) },
  INT32: { bytes: 4, at: (data, offset) => data.readInt32LE(offset) },
  INT64: { bytes: 8, at: (data, offset) => integer(data.readBigInt64LE(offset)) },
  UINT8: { bytes: 1, at: (data, offset) => data.readUInt8(offset) },
  UINT16: { bytes: 2, at: (data, offset) => data.readUInt16LE(offset) },
  UINT32: { bytes: 4, at: (data, offset) => data.readUInt32LE(offset) },
  UINT64: { bytes: 8, at: (data, offset) => integer(data.readBigUInt64LE(offset)) },
  BOOL: { bytes: 1, at: (data, offset) => data.readUInt8(offset) !== 0 },
};

function checkFinite(value: unknown, index: number, name: string): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new Refusal(
    'INVALID_REQUEST',
    `input '${name}': element ${index} is ${value}, for which JSON has no word, and the model is asked in JSON`,
  );
}

/**
 * The elements of an input; how many there must be is the caller's to check.
 * @throws Refusal when JSON has no word for one, BinaryFault
 */
export function readElements(data: Buffer, datatype: string, name: string): readonly unknown[] {
  if (datatype === 'BYTES') return splitStrings(data, name);
  const reader = Object.hasOwn(READERS, datatype) ? READERS[datatype] : undefined;
  if (reader === undefined) {
    throw new Refusal(
      'INVALID_REQUEST',
      `input '${name}': binary ${datatype} cannot be read here, and the model is asked in JSON; ` +
        `binary data may be BYTES, ${Object.keys(READERS).join(', ')}`,
    );
  }
  const { bytes, at } = reader;
  if (data.length % bytes !== 0) {
    throw new Refusal(
      'INVALID_REQUEST',
      `input '${name}': ${data.length} bytes of binary data are no whole elements of ${datatype}, which have ${bytes}`,
    );
  }
  const count = data.length / bytes;
  return Array.from({ length: count }, (_, i) => checkFinite(at(data, i * bytes), i, name));
}
