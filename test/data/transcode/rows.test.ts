import * as fc from 'fast-check';
import {
  ExactNumber,
  readJson,
  writeJson,
  writeStrict,
} from '../../../runtime/data/transcode/exact-json';
import type { JsonObject } from '../../../runtime/data/transcode/body-json';
import { itemsToV1, v1ToItems, v2ToItems } from '../../../runtime/data/transcode/rows-to-native';
import { parseV1 } from '../../../runtime/data/transcode/v1-request';
import { v1ToV2, v2ToV1 } from '../../../runtime/data/transcode/v1-to-v2';
import { v2Answer } from '../../../runtime/data/transcode/v2-answer';
import type { V2Request } from '../../../runtime/data/transcode/v2-request';
import { parseV2 } from '../../../runtime/data/transcode/v2-request';
import { v1ToV2Answer, v2ToV1Call } from '../../../runtime/data/transcode/v2-to-v1';

// V1's rows and columns, V2's tensors, native's items: each said as the others.

const metadata = (...inputs: readonly (readonly [string, string, readonly number[]])[]) => ({
  inputs: inputs.map(([name, datatype, shape]) => ({ name, datatype, shape })),
});

const v2 = (body: unknown, tail?: Buffer): V2Request => {
  const head = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  if (tail === undefined) return parseV2(head, undefined);
  return parseV2(Buffer.concat([head, tail]), String(head.length));
};

const plain = (value: unknown): unknown => JSON.parse(writeJson(value));

describe('V1 rows as V2 tensors', () => {
  test.each<readonly [string, JsonObject, ReturnType<typeof metadata> | undefined, unknown]>([
    [
      'objects by input',
      {
        instances: [
          { x: [1, 2], s: 'a' },
          { x: [3, 4], s: 'b' },
        ],
      },
      undefined,
      [
        { name: 'x', datatype: 'INT64', shape: [2, 2], data: [1, 2, 3, 4] },
        { name: 's', datatype: 'BYTES', shape: [2], data: ['a', 'b'] },
      ],
    ],
    [
      'bare rows, for the only input; a datatype that is known',
      { instances: [[1, 2]], signature_name: 'serving_default' },
      metadata(['x', 'FP32', [-1, 2]]),
      [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
    ],
    [
      'bare rows, for a model that tells no inputs',
      { instances: [[1, 2]] },
      undefined,
      [{ name: 'input-0', datatype: 'INT64', shape: [1, 2], data: [1, 2] }],
    ],
    [
      'scalars for an input of one column',
      { instances: [1, 2, 3] },
      metadata(['x', 'FP32', [-1, 1]]),
      [{ name: 'x', datatype: 'FP32', shape: [3, 1], data: [1, 2, 3] }],
    ],
    [
      'nested objects by dotted names',
      { instances: [{ a: { b: true } }] },
      undefined,
      [{ name: 'a.b', datatype: 'BOOL', shape: [1], data: [true] }],
    ],
    [
      'texts in base64',
      { instances: [{ s: { b64: '5aS055eb' } }, { s: { b64: 'YQ==' } }] },
      undefined,
      [{ name: 's', datatype: 'BYTES', shape: [2], data: ['头痛', 'a'] }],
    ],
    [
      'columns',
      { inputs: { x: [[1.5], [2]], y: [true, false] } },
      undefined,
      [
        { name: 'x', datatype: 'FP64', shape: [2, 1], data: [1.5, 2] },
        { name: 'y', datatype: 'BOOL', shape: [2], data: [true, false] },
      ],
    ],
    [
      'the only column, without its name',
      { inputs: [[1], [2]] },
      metadata(['x', 'INT32', [-1, 1]]),
      [{ name: 'x', datatype: 'INT32', shape: [2, 1], data: [1, 2] }],
    ],
  ])('%s', (_, body, known, tensors) => {
    expect(v1ToV2(parseV1(body), known)).toEqual(tensors);
  });

  test.each<readonly [JsonObject, ReturnType<typeof metadata> | undefined, string]>([
    [{}, undefined, 'either instances (rows) or inputs (columns)'],
    [{ instances: [1], inputs: [1] }, undefined, 'either instances (rows) or inputs (columns)'],
    [{ instances: [] }, undefined, 'instances: got [], must be a list of at least one row'],
    [{ instances: { x: 1 } }, undefined, 'instances: got {"x":1}, must be a list'],
    [
      { instances: [1], parameters: {} },
      undefined,
      'parameters: the model’s server does not support',
    ],
    [{ instances: [1], signature_name: 7 }, undefined, 'signature_name: got 7, must be text'],
    [{ instances: [1], signature_name: 'other' }, undefined, 'signature_name: got "other"'],
    [{ instances: [{ x: 1 }, { y: 1 }] }, undefined, 'instances[1]: has y, instances[0] has x'],
    [{ instances: [{ x: 1 }, 2] }, undefined, 'must be all objects by input, or all values'],
    [
      { instances: [[1], [1, 2]] },
      metadata(['x', 'FP32', [-1]]),
      'instances: is not a tensor: lists of one level',
    ],
    [
      { instances: [{ x: [[1], 2] }] },
      undefined,
      'instances[].x: is not a tensor: lists of one level',
    ],
    [{ instances: [{ x: 1 }, { x: 'a' }] }, undefined, 'instances[].x: must hold only numbers'],
    [{ instances: [1] }, metadata(['a', 'FP32', []], ['b', 'FP32', []]), 'inputs: a, b'],
    [
      { instances: [{ z: 1 }] },
      metadata(['x', 'FP32', []]),
      'instances: unknown input z; the inputs',
    ],
    [
      { inputs: { z: 1 } },
      metadata(['x', 'FP32', []]),
      'inputs: unknown input z; the inputs are x',
    ],
    [{ instances: [{ s: { b64: '/w==' } }] }, undefined, 'instances[0].s.b64: is not UTF-8'],
  ])('%j is refused: %#', (body, known, message) => {
    expect(() => v1ToV2(parseV1(body), known)).toThrow(message);
  });

  test('keep integers beyond 2^53 and floats that look like integers', () => {
    const body = readJson('{"instances":[{"id":9007199254740993,"dose":1.0}]}') as JsonObject;
    expect(writeJson(v1ToV2(parseV1(body), undefined))).toBe(
      '[{"name":"id","datatype":"INT64","shape":[1],"data":[9007199254740993]},' +
        '{"name":"dose","datatype":"FP64","shape":[1],"data":[1.0]}]',
    );
  });
});

describe('V2 outputs as V1 predictions', () => {
  const rows = parseV1({ instances: [1, 2] });
  const columns = parseV1({ inputs: [1, 2] });
  const x = { name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] };
  const s = { name: 's', datatype: 'BYTES', shape: [2], data: ['a', 'b'] };

  test.each([
    [
      'one output: bare rows',
      [x],
      {
        predictions: [
          [1, 2],
          [3, 4],
        ],
      },
      {
        outputs: [
          [1, 2],
          [3, 4],
        ],
      },
    ],
    [
      'several: by name',
      [x, s],
      {
        predictions: [
          { x: [1, 2], s: 'a' },
          { x: [3, 4], s: 'b' },
        ],
      },
      {
        outputs: {
          x: [
            [1, 2],
            [3, 4],
          ],
          s: ['a', 'b'],
        },
      },
    ],
  ])('give rows for %s; for columns columns', (_, outputs, byRow, byColumn) => {
    expect(v2ToV1({ outputs }, rows)).toEqual(byRow);
    expect(v2ToV1({ outputs }, columns)).toEqual(byColumn);
  });

  test('without rows belong to a single row, and are invalid for several', () => {
    const outputs = [{ name: 'x', datatype: 'FP32', shape: [3], data: [1, 2, 3] }];
    expect(v2ToV1({ outputs }, parseV1({ instances: [1] }))).toEqual({ predictions: [[1, 2, 3]] });
    expect(() => v2ToV1({ outputs }, rows)).toThrow('output x has the shape [3] and so no row');
    expect(v2ToV1({ outputs }, columns)).toEqual({ outputs: [1, 2, 3] });
  });

  test.each([undefined, [], {}, { outputs: [{}] }, { outputs: [{ ...x, data: [1] }] }])(
    'are invalid: %j',
    (answer) => {
      expect(v2ToV1(answer, rows)).toBeUndefined();
    },
  );
});

describe('V2 tensors as V1 rows', () => {
  const x = { name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] };
  const s = { name: 's', datatype: 'BYTES', shape: [2], data: ['a', 'b'] };

  test.each([
    [
      'one input, bare',
      [x],
      false,
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['one input, by name', [x], true, [{ x: [1, 2] }, { x: [3, 4] }]],
    [
      'several',
      [x, s],
      false,
      [
        { x: [1, 2], s: 'a' },
        { x: [3, 4], s: 'b' },
      ],
    ],
    [
      'data that is nested',
      [
        {
          ...x,
          data: [
            [1, 2],
            [3, 4],
          ],
        },
      ],
      false,
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])('%s', (_, inputs, named, instances) => {
    expect(v2ToV1Call(v2({ inputs }), named)).toEqual({ instances });
  });

  test('ignore parameters about the form of the response; they pass a signature on', () => {
    const body = {
      inputs: [x],
      parameters: { binary_data_output: true, signature_name: 'other' },
      outputs: [{ name: 'y', parameters: { binary_data: true, classification: 0 } }],
    };
    expect(v2ToV1Call(v2(body), false)).toMatchObject({ signature_name: 'other' });
  });

  test.each<readonly [JsonObject, string]>([
    [{}, 'inputs: got missing, must be a list'],
    [{ inputs: [] }, 'inputs: got [], must be a list'],
    [{ inputs: [7] }, 'inputs[0]: got 7, must be an object'],
    [{ inputs: [{ ...x, name: 7 }] }, 'inputs[0].name: got 7, must be text'],
    [{ inputs: [{ ...x, datatype: undefined }] }, 'inputs[0].datatype: got missing'],
    [
      { inputs: [{ ...x, shape: [-1, 2] }] },
      'inputs[0].shape: got [-1,2], must be a list of sizes',
    ],
    [{ inputs: [{ ...x, data: undefined }] }, 'inputs[0].data: got missing, must be a list'],
    [{ inputs: [{ ...x, data: [1] }] }, 'inputs[0].data: has 1 elements, its shape [2,2] needs 4'],
    [{ inputs: [x, x] }, 'inputs: x is given twice'],
    [{ inputs: [x, { ...s, shape: [1], data: ['a'] }] }, 'inputs[1].shape: s has [1], x [2,2]'],
    [{ inputs: [{ ...s, shape: [], data: ['a'] }] }, 'inputs[0].shape: s has []'],
    [{ inputs: [{ ...s, shape: [0], data: [] }] }, 'inputs[0].shape: s has [0]'],
    [
      { inputs: [{ ...x, parameters: { content_type: 'np' } }] },
      'inputs[0].parameters.content_type: the model’s server does not support it',
    ],
    [
      { inputs: [{ ...x, parameters: { shared_memory_region: 'r' } }] },
      'inputs[0].parameters.shared_memory_region: the model’s server does not support',
    ],
    [{ inputs: [x], parameters: { priority: 1 } }, 'parameters.priority: the model speaks V1'],
    [{ inputs: [x], parameters: [] }, 'parameters: got [], must be an object'],
    [{ inputs: [x], outputs: {} }, 'outputs: got {}, must be a list of {name}'],
    [{ inputs: [x], outputs: [{}] }, 'outputs[0].name: got missing, must be text'],
    [
      { inputs: [x], outputs: [{ name: 'y', parameters: { classification: 3 } }] },
      'outputs[0].parameters.classification: the model’s server does not support it',
    ],
  ])('are refused for %j: %#', (body, message) => {
    expect(() => v2ToV1Call(v2(body), false)).toThrow(message);
  });
});

describe('binary tensors', () => {
  const input = (datatype: string, count: number, bytes: Buffer): V2Request =>
    v2(
      {
        inputs: [
          {
            name: 'x',
            datatype,
            shape: [count],
            parameters: { binary_data_size: bytes.length },
          },
        ],
      },
      bytes,
    );
  const bytesOf = (array: NodeJS.TypedArray): Buffer => Buffer.from(array.buffer);
  const strings = (...texts: readonly string[]): Buffer =>
    Buffer.concat(
      texts.flatMap((text) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(Buffer.byteLength(text));
        return [length, Buffer.from(text)];
      }),
    );

  test.each<readonly [string, Buffer, readonly unknown[]]>([
    ['FP32', bytesOf(Float32Array.of(0.5, -1)), [0.5, -1]],
    ['FP64', bytesOf(Float64Array.of(0.1, 2)), [0.1, 2]],
    ['FP16', bytesOf(Uint16Array.of(0x3c00, 0xc000)), [1, -2]],
    ['INT8', bytesOf(Int8Array.of(-128, 127)), [-128, 127]],
    ['INT16', bytesOf(Int16Array.of(-2, 2)), [-2, 2]],
    ['INT32', bytesOf(Int32Array.of(-2, 2)), [-2, 2]],
    ['INT64', bytesOf(BigInt64Array.of(-2n, 2n)), [-2, 2]],
    ['UINT8', bytesOf(Uint8Array.of(0, 255)), [0, 255]],
    ['UINT16', bytesOf(Uint16Array.of(0, 65_535)), [0, 65_535]],
    ['UINT32', bytesOf(Uint32Array.of(0, 4_294_967_295)), [0, 4_294_967_295]],
    ['BOOL', bytesOf(Uint8Array.of(0, 1)), [false, true]],
    ['BYTES', strings('头痛', ''), ['头痛', '']],
  ])('of %s are read', (datatype, bytes, data) => {
    expect(v2ToV1Call(input(datatype, data.length, bytes), false)).toEqual({ instances: data });
  });

  test('keep 64-bit integers exact', () => {
    const int = input('INT64', 1, bytesOf(BigInt64Array.of(-9_007_199_254_740_993n)));
    expect(writeJson(v2ToV1Call(int, false))).toBe('{"instances":[-9007199254740993]}');
    const uint = input('UINT64', 1, bytesOf(BigUint64Array.of(18_446_744_073_709_551_615n)));
    expect(writeJson(v2ToV1Call(uint, false))).toBe('{"instances":[18446744073709551615]}');
  });

  test('follow one another, beside data in JSON', () => {
    const head = (name: string, more: object) => ({ name, shape: [1], ...more });
    const body = {
      inputs: [
        head('a', { datatype: 'INT8', parameters: { binary_data_size: 1 } }),
        head('b', { datatype: 'FP32', data: [2] }),
        head('c', { datatype: 'INT8', parameters: { binary_data_size: 1 } }),
      ],
    };
    expect(v2ToV1Call(v2(body, Buffer.of(1, 3)), false)).toEqual({
      instances: [{ a: 1, b: 2, c: 3 }],
    });
  });

  test.each<readonly [string, number, Buffer, string]>([
    ['BF16', 1, Buffer.alloc(2), 'binary BF16 cannot be read here'],
    ['toString', 1, Buffer.alloc(2), 'binary toString cannot be read here'],
    ['FP32', 1, Buffer.alloc(3), '3 bytes of binary data are not whole elements of FP32'],
    ['FP32', 2, Buffer.alloc(4), 'has 1 elements, its shape [2] needs 2'],
    ['BYTES', 1, Buffer.of(9, 0, 0, 0, 1), 'its binary data ends within element 0'],
    ['BYTES', 1, Buffer.of(1, 0, 0, 0, 0xff), 'element 0 is not UTF-8'],
  ])('of %s with %i elements are refused: %#', (datatype, count, bytes, message) => {
    expect(() => input(datatype, count, bytes)).toThrow(message);
  });

  test.each<readonly [string, Buffer, string]>([
    ['FP32', bytesOf(Float32Array.of(NaN, -0)), '[NaN,-0.0]'],
    ['FP16', bytesOf(Uint16Array.of(0x8000, 0xfc00)), '[-0.0,-Infinity]'],
  ])('of %s without a token in JSON are the words of V1', (type, bytes, row) => {
    const call = v2ToV1Call(input(type, 2, bytes), false);
    expect(writeJson(call)).toBe(`{"instances":${row}}`);
    expect(writeStrict(v2ToItems(input(type, 2, bytes)))).toContain(
      row.includes('NaN') ? '"NaN"' : '"-Infinity"',
    );
  });

  test('with surplus bytes, missing bytes, or a wrong header are refused', () => {
    const x = { name: 'x', shape: [1], datatype: 'INT8', parameters: { binary_data_size: 1 } };
    expect(() => v2({ inputs: [x] }, Buffer.alloc(2))).toThrow('1 bytes of binary data belong');
    expect(() => v2({ inputs: [x] }, Buffer.alloc(0))).toThrow('but 0 bytes are left');
    expect(() => parseV2(Buffer.from('{}'), '9')).toThrow('Inference-Header-Content-Length is "9"');
  });
});

describe('rows as a V2 response', () => {
  const asked = (more: Partial<V2Request> = {}): V2Request => ({
    id: undefined,
    tensors: [{ name: 'x', datatype: 'INT64', shape: [2], data: [1, 2] }],
    requestedOutputs: undefined,
    parameters: {},
    ...more,
  });
  const outputs = (rows: readonly unknown[], more?: Partial<V2Request>) =>
    v2Answer(asked(more), rows, 'iris', 'v1')['outputs'];

  test("have objects as outputs by name, with the request's id", () => {
    const rows = [
      { label: 'a', p: { q: [0.5, 1] } },
      { label: 'b', p: { q: [0.25, 2] } },
    ];
    expect(v2Answer(asked({ id: '7' }), rows, 'iris', 'v1')).toEqual({
      model_name: 'iris',
      model_version: 'v1',
      id: '7',
      outputs: [
        { name: 'label', datatype: 'BYTES', shape: [2], data: ['a', 'b'] },
        { name: 'p.q', datatype: 'FP64', shape: [2, 2], data: [0.5, 1, 0.25, 2] },
      ],
    });
    expect(v2Answer(asked(), rows, 'iris', 'v1')).not.toHaveProperty('id');
  });

  test('that are bare have the requested name, else predictions', () => {
    const shape = { datatype: 'INT64', shape: [2], data: [1, 2] };
    expect(outputs([1, 2])).toEqual([{ name: 'predictions', ...shape }]);
    expect(outputs([1, 2], { requestedOutputs: ['y'] })).toEqual([{ name: 'y', ...shape }]);
  });

  test('have only the requested outputs, in that order', () => {
    const rows = [
      { a: 1, b: 2, c: 3 },
      { a: 4, b: 5, c: 6 },
    ];
    const told = outputs(rows, { requestedOutputs: ['c', 'a'] }) as readonly { name: string }[];
    expect(told.map(({ name }) => name)).toEqual(['c', 'a']);
    expect(() => outputs(rows, { requestedOutputs: ['z'] })).toThrow(
      'outputs[0].name: the model gave no output z; it gave a, b, c',
    );
  });

  test('with null have a number that JSON cannot express', () => {
    expect(outputs([null, 1])).toEqual([
      { name: 'predictions', datatype: 'FP64', shape: [2], data: [null, 1] },
    ]);
  });

  test.each<readonly [readonly unknown[], string]>([
    [[{ a: 1 }, { b: 1 }], 'its rows have different outputs'],
    [[{ a: [1] }, { a: [1, 2] }], 'output a has rows of different lengths'],
    [[{ a: 'x' }, { a: 1 }], 'output a mixes types'],
    [[{ a: 'x' }, { a: null }], 'output a mixes types, or has nulls'],
  ])('are invalid for %j: %s', (rows, message) => {
    expect(() => outputs(rows)).toThrow(message);
  });

  test('a V1 response has as many predictions as there were rows', () => {
    expect(v1ToV2Answer({ predictions: [1] }, asked(), 'iris', 'v1')).toBeUndefined();
    expect(v1ToV2Answer({ predictions: 7 }, asked(), 'iris', 'v1')).toBeUndefined();
    expect(v1ToV2Answer([], asked(), 'iris', 'v1')).toBeUndefined();
  });
});

describe('rows as native items', () => {
  const more = { parameters: { signature_name: 's' } };

  test.each<readonly [JsonObject, unknown]>([
    [{ instances: [{ x: 1 }, { x: 2 }] }, [{ input_data: { x: 1 } }, { input_data: { x: 2 } }]],
    [{ instances: [{ x: 1 }], signature_name: 's' }, [{ input_data: { x: 1 }, ...more }]],
    [{ inputs: { x: [1, 2] } }, [{ input_data: { x: 1 } }, { input_data: { x: 2 } }]],
  ])('from V1: %j', (body, items) => {
    expect(v1ToItems(parseV1(body))).toEqual(items);
  });

  test('from V2 follow the first dimension, with the parameters', () => {
    const inputs = [
      { name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] },
      { name: 's', datatype: 'BYTES', shape: [2], data: ['a', 'b'] },
    ];
    expect(v2ToItems(v2({ inputs, parameters: { top_k: 3 } }))).toEqual([
      { input_data: { x: [1, 2], s: 'a' }, parameters: { top_k: 3 } },
      { input_data: { x: [3, 4], s: 'b' }, parameters: { top_k: 3 } },
    ]);
    expect(v2ToItems(v2({ inputs }))[0]).not.toHaveProperty('parameters');
  });

  test.each<readonly [JsonObject, string]>([
    [{ instances: [1] }, 'instances[0]: must be an object, input → value'],
    [{ instances: [{ x: 1 }, [2]] }, 'instances[1]: must be an object'],
    [{ inputs: [1] }, 'inputs: must be an object'],
    [{ inputs: {} }, 'inputs: has no rows'],
    [{ inputs: { x: [] } }, 'inputs: has no rows'],
    [{ inputs: { x: 1 } }, 'inputs.x: must be a list, one value for each row'],
    [{ inputs: { x: [1], y: [1, 2] } }, 'inputs.y: has 2 rows, inputs.x 1'],
  ])('are refused for %j: %s', (body, message) => {
    expect(() => v1ToItems(parseV1(body))).toThrow(message);
  });

  test('give results as rows, or as columns for columns', () => {
    const results = [{ a: 1, b: 'x' }, { a: 2 }];
    expect(itemsToV1(results, parseV1({ instances: [{}] }))).toEqual({ predictions: results });
    const columns = parseV1({ inputs: { x: [1, 2] } });
    expect(itemsToV1(results, columns)).toEqual({ outputs: { a: [1, 2], b: ['x', null] } });
    expect(itemsToV1([1, 2], columns)).toEqual({ outputs: [1, 2] });
  });
});

describe('a round trip loses nothing', () => {
  const integer = fc.oneof(
    fc.integer(),
    fc
      .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
      .map((one) => new ExactNumber(String(one))),
  );
  const elements = fc.oneof(
    fc.constant(integer),
    fc.constant(fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => one + 0.5)),
    fc.constant(fc.boolean()),
    fc.constant(fc.string()),
  );
  const shape = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 });
  const valueOf = (
    element: fc.Arbitrary<unknown>,
    dims: readonly number[],
  ): fc.Arbitrary<unknown> =>
    dims.reduceRight<fc.Arbitrary<unknown>>(
      (inner, length) => fc.array(inner, { minLength: length, maxLength: length }),
      element,
    );
  const column = fc
    .tuple(elements, shape, fc.integer({ min: 1, max: 4 }))
    .chain(([element, dims, count]) => valueOf(element as fc.Arbitrary<unknown>, [count, ...dims]));
  const rows = fc
    .tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.uniqueArray(fc.constantFrom('x', 'y', '症状', '__proto__'), { minLength: 1 }),
    )
    .chain(([count, names]) =>
      fc
        .tuple(
          ...names.map(() =>
            fc
              .tuple(elements, shape)
              .chain(([element, dims]) =>
                valueOf(element as fc.Arbitrary<unknown>, [count, ...dims]),
              ),
          ),
        )
        .map((columns) =>
          Array.from({ length: count }, (_, at) =>
            Object.fromEntries(names.map((name, i) => [name, (columns[i] as unknown[])[at]])),
          ),
        ),
    );

  /** A V2 server that answers with what it was given. */
  const echoed = (text: string): unknown => {
    const { inputs } = readJson(text) as { inputs: unknown };
    return { outputs: inputs };
  };

  test('from V1 rows through V2', () => {
    fc.assert(
      fc.property(rows, (instances) => {
        const body = readJson(writeJson({ instances })) as JsonObject;
        const call = parseV1(body);
        const told = v2ToV1(echoed(writeJson({ inputs: v1ToV2(call, undefined) })), call);
        const names = Object.keys(instances[0] ?? {});
        const [only = ''] = names;
        // One output is told without its name.
        const wanted = names.length === 1 ? instances.map((row) => row[only]) : instances;
        expect(plain(told)).toEqual(plain({ predictions: wanted }));
        expect(writeJson(told)).toBe(writeJson(readJson(writeJson({ predictions: wanted }))));
      }),
    );
  });

  test('from V1 columns through V2', () => {
    fc.assert(
      fc.property(column, (x) => {
        const call = parseV1(readJson(writeJson({ inputs: { x } })) as JsonObject);
        const told = v2ToV1(echoed(writeJson({ inputs: v1ToV2(call, undefined) })), call);
        expect(writeJson(told)).toBe(writeJson(readJson(writeJson({ outputs: x }))));
      }),
    );
  });

  test('from V2 tensors through V1, and through native', () => {
    fc.assert(
      fc.property(rows, fc.boolean(), (instances, named) => {
        const read = readJson(writeJson({ instances })) as JsonObject;
        const inputs = v1ToV2(parseV1(read), undefined);
        // A bare row has no name but the one that is asked for.
        const outputs = inputs.map(({ name }) => ({ name }));
        const request = v2(writeJson({ inputs, outputs }));
        const isNamed = named || inputs.length > 1;
        const call = readJson(writeJson(v2ToV1Call(request, isNamed))) as JsonObject;
        const answer = v1ToV2Answer({ predictions: call['instances'] }, request, 'iris', 'v1');
        expect(writeJson(answer?.['outputs'])).toBe(writeJson(inputs));
        const items = v2ToItems(request).map(({ input_data }) => input_data);
        expect(writeJson(v2Answer(request, items, 'iris', 'v1')['outputs'])).toBe(
          writeJson(inputs),
        );
      }),
    );
  });
});
