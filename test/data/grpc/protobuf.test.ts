import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import fc from 'fast-check';
import { contentsOf, rawOf } from '../../../runtime/data/grpc/contents';
import { datatypeOf } from '../../../runtime/data/transcode/datatypes';
import { TensorFault } from '../../../runtime/shared/binary';
import { readModelInferRequest } from '../../../runtime/data/grpc/messages';
import { ProtobufReader, WireFault, ProtobufWriter } from '../../../runtime/data/grpc/protobuf';
import { rounds } from '../../support/rounds';

// The codec against one that others wrote, and against bytes that mean nothing.

const loaded = loadSync(join(__dirname, '../../../schema/open_inference.proto'), {
  keepCase: true,
  longs: String,
});
interface Codec {
  readonly requestSerialize: (value: object) => Buffer;
}
const service = loaded['inference.GRPCInferenceService'] as unknown as Record<string, Codec>;
const encode = (value: object): Buffer =>
  service['ModelInfer']?.requestSerialize(value) ?? Buffer.alloc(0);

const NO_LIMIT = 2 ** 30;
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const size = fc.integer({ min: -1, max: 2 ** 40 });
const input = fc.record({
  name: text,
  datatype: text,
  shape: fc.array(size, { maxLength: 5 }),
  contents: fc.record({ int64_contents: fc.array(int64, { maxLength: 20 }) }),
});

test('a request is decoded as it was encoded', () => {
  const request = fc.record({
    model_name: text,
    model_version: text,
    id: text,
    inputs: fc.array(input, { maxLength: 4 }),
    outputs: fc.array(fc.record({ name: text }), { maxLength: 3 }),
    raw_input_contents: fc.array(fc.uint8Array({ maxLength: 30 }).map(Buffer.from), {
      maxLength: 3,
    }),
  });
  fc.assert(
    fc.property(request, (given) => {
      const got = readModelInferRequest(encode(given));
      expect([got.model, got.version, got.id]).toEqual([
        given.model_name,
        given.model_version,
        given.id,
      ]);
      expect(got.raw).toEqual(given.raw_input_contents);
      expect(got.outputs.map(({ name }) => name)).toEqual(given.outputs.map(({ name }) => name));
      expect(got.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
        given.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
      );
      for (const [index, one] of got.inputs.entries()) {
        const raw = rawOf(datatypeOf('INT64'), one.contents ?? Buffer.alloc(0), NO_LIMIT);
        const numbers = Array.from({ length: (raw?.length ?? 0) / 8 }, (_, at) =>
          String(raw?.readBigInt64LE(at * 8)),
        );
        expect(numbers).toEqual(given.inputs[index]?.contents.int64_contents);
      }
    }),
  );
});

test.each([
  'BOOL',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'FP32',
  'FP64',
])('%s is unchanged by raw → typed → raw, whatever the bits', (name) => {
  const datatype = datatypeOf(name);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % datatype.bytes));
      const raw = Buffer.from(name === 'BOOL' ? whole.map((byte) => byte & 1) : whole);
      expect(rawOf(datatype, contentsOf(datatype, raw), NO_LIMIT)).toEqual(raw);
    }),
  );
});

test('BYTES are unchanged by raw → typed → raw', () => {
  const datatype = datatypeOf('BYTES');
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), (elements) => {
      const parts = elements.flatMap((element) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(element.length);
        return [length, Buffer.from(element)];
      });
      const raw = Buffer.concat(parts);
      expect(rawOf(datatype, contentsOf(datatype, raw), NO_LIMIT)).toEqual(raw);
    }),
  );
});

test('lists are read packed, in pieces and one by one', () => {
  const hex = (name: string, bytes: string) =>
    rawOf(datatypeOf(name), Buffer.from(bytes, 'hex'), NO_LIMIT)?.toString('hex');
  // int_contents 1, 2, 3: packed [1, 2], then 3 alone.
  expect(hex('INT8', '120201021003')).toBe('010203');
  // fp32_contents 1.0 packed, then 2.0 alone.
  expect(hex('FP32', '32040000803f3500000040')).toBe('0000803f00000040');
  // −1 in 32 bits and in 64.
  expect(hex('INT16', '10ffffffff0f10ffffffffffffffffff01')).toBe('ffffffff');
  expect(() => hex('FP32', '3001')).toThrow(new WireFault('fp32_contents is not a list of FP32'));
  expect(() => hex('FP32', '3203000000')).toThrow(
    new TensorFault('fp32_contents end within an element'),
  );
});

test('an expansion beyond the limit is not made', () => {
  const contents = new ProtobufWriter().bytes(3, Buffer.alloc(1000)).finish();
  expect(rawOf(datatypeOf('INT64'), contents, 7999)).toBeUndefined();
  expect(rawOf(datatypeOf('INT64'), contents, 8000)).toHaveLength(8000);
  const empty = new ProtobufWriter().bytes(8, Buffer.alloc(0)).bytes(8, Buffer.alloc(0)).finish();
  expect(rawOf(datatypeOf('BYTES'), empty, 7)).toBeUndefined();
});

test('random bytes are a WireFault and no other error', () => {
  const valid = encode({
    model_name: 'iris',
    parameters: { a: { double_param: 0.5 } },
    inputs: [{ name: 'x', datatype: 'INT8', shape: [2], contents: { int_contents: [1, 2] } }],
  });
  const broken = fc
    .tuple(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length))
    .map(([at, byte, length]) => {
      const bytes = Buffer.from(valid);
      bytes[at] = byte;
      return bytes.subarray(0, length);
    });
  fc.assert(
    fc.property(fc.oneof(broken, fc.uint8Array({ maxLength: 60 }).map(Buffer.from)), (bytes) => {
      try {
        readModelInferRequest(bytes);
      } catch (error) {
        if (!(error instanceof WireFault || error instanceof TensorFault)) throw error;
      }
    }),
    { numRuns: rounds(500) },
  );
});

test('a list of more items than any model has is refused', () => {
  const writer = new ProtobufWriter();
  for (let count = 0; count <= 10_000; count += 1) writer.bytes(5, Buffer.alloc(0));
  expect(() => readModelInferRequest(writer.finish())).toThrow(
    new WireFault('a list has more than 10000 items'),
  );
});

test('an unknown field is left out', () => {
  const reader = new ProtobufReader(
    new ProtobufWriter()
      .number(9, 2n ** 63n)
      .double(10, 1)
      .bytes(11, Buffer.from('a'))
      .text(1, 'b')
      .finish(),
  );
  const fields: number[] = [];
  while (reader.next()) {
    fields.push(reader.field);
    reader.value();
  }
  expect(fields).toEqual([9, 10, 11, 1]);
});
