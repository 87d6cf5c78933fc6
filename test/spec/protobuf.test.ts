import { PagedFile, bytesInMemory } from '../../lib/spec/filebytes';
import { protoFields, protoIntegers, varintBytes } from '../../lib/spec/protobuf';

const INTEGERS = [
  0n,
  1n,
  127n,
  128n,
  2n ** 53n - 1n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  -1n,
  -(2n ** 63n),
];
const PACKED = 0x0a;
const SINGLE = 0x08;

const joined = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((one) => [...one]));

test('integers of 64 bits are read exactly, packed or not, from memory and from a file', () => {
  const list = joined(...INTEGERS.map(varintBytes));
  const packed = joined(Uint8Array.of(PACKED), varintBytes(list.length), list);
  const singles = joined(...INTEGERS.map((one) => joined(Uint8Array.of(SINGLE), varintBytes(one))));
  for (const bytes of [packed, singles]) {
    for (const source of [bytes, new PagedFile(bytesInMemory(bytes))]) {
      const fields = [...protoFields(source, 0, bytes.length)];
      expect(fields.flatMap((field) => protoIntegers(source, field))).toEqual(INTEGERS);
    }
  }
});

test('a number of more than ten bytes, and one that is cut off, are refused', () => {
  const long = Uint8Array.of(SINGLE, ...Array.from({ length: 10 }, () => 0xff), 1);
  expect(() => [...protoFields(long, 0, long.length)]).toThrow('a field has no known type');
  expect(() => [...protoFields(long, 0, 5)]).toThrow('the bytes end in the middle of a field');
});
