import { splitStrings, TensorFault } from '../../shared/binary';
import { DATATYPE_NAMES, elementAt, tryDatatypeOf } from './datatypes';
import { Exact } from './exact';

// Elements of a binary tensor as values.

/** An integer as it is, beyond 2^53 too. */
function integer(value: bigint): number | Exact {
  const near = Number(value);
  return Number.isSafeInteger(near) ? near : new Exact(String(value));
}

/** @throws TensorFault when JSON has no word for it */
function sayable(value: ReturnType<typeof elementAt>, index: number): unknown {
  if (typeof value === 'bigint') return integer(value);
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new TensorFault(
    `element ${index} is ${value}, for which JSON has no word, and the model is asked in JSON`,
  );
}

/** As servers write it in JSON, where NaN is null; infinities are told apart. */
function heard(value: ReturnType<typeof elementAt>): unknown {
  if (typeof value === 'bigint') return integer(value);
  return Number.isNaN(value) ? null : value;
}

const UNREAD = 'BF16';

type Value = (value: ReturnType<typeof elementAt>, index: number) => unknown;

function elementsIn(data: Buffer, name: string, valueOf: Value): readonly unknown[] {
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
      `${data.length} bytes of binary data are no whole elements of ${name}, which have ${bytes}`,
    );
  }
  const count = data.length / bytes;
  return Array.from({ length: count }, (_, index) =>
    valueOf(elementAt(data, index * bytes, datatype), index),
  );
}

/**
 * The elements of an input; how many there must be is the caller's to check.
 * @throws TensorFault
 */
export function readElements(data: Buffer, name: string): readonly unknown[] {
  return elementsIn(data, name, sayable);
}

/** The elements of an output, to be compared with others. @throws TensorFault */
export function heardElements(data: Buffer, name: string): readonly unknown[] {
  return elementsIn(data, name, heard);
}
