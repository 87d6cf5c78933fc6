import { splitStrings, TensorFault } from '../../shared/binary';
import { DATATYPE_NAMES, elementAt, tryDatatypeOf } from './datatypes';
import { ExactNumber, exactly } from './exact-json';

// Elements of a binary tensor as values.

/** An integer without loss, also beyond 2^53. */
function integer(value: bigint): number | ExactNumber {
  const near = Number(value);
  return Number.isSafeInteger(near) ? near : new ExactNumber(String(value));
}

/** As it would have been read from JSON. */
function asRead(value: ReturnType<typeof elementAt>): unknown {
  if (typeof value === 'bigint') return integer(value);
  return typeof value === 'number' ? exactly(value) : value;
}

const UNREAD = 'BF16';

/**
 * The elements of a binary tensor; the caller checks their number.
 * @throws TensorFault
 */
export function readElements(data: Buffer, name: string): readonly unknown[] {
  const datatype = name === UNREAD ? undefined : tryDatatypeOf(name);
  if (datatype === undefined) {
    const names = DATATYPE_NAMES.filter((one) => one !== UNREAD).join(', ');
    throw new TensorFault(
      `binary ${name} cannot be read here, and the model is asked in JSON; binary data may be ${names}`,
    );
  }
  const { kind, bytes } = datatype;
  if (kind === 'bytes') return splitStrings(data);
  if (data.length % bytes !== 0) {
    throw new TensorFault(
      `${data.length} bytes of binary data are not whole elements of ${name}, which has ${bytes} bytes each`,
    );
  }
  const count = data.length / bytes;
  return Array.from({ length: count }, (_, index) =>
    asRead(elementAt(data, index * bytes, datatype)),
  );
}
