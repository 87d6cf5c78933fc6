import fc from 'fast-check';
import type { Splice, Message } from '../../../runtime/data/batching/splice';
import { joinRequests, keyOf, splitAnswer } from '../../../runtime/data/batching/splice';
import { spliceNative, splitNative } from '../../../runtime/data/batching/splice-native';
import { spliceV1, spliceV1Answer } from '../../../runtime/data/batching/splice-v1';
import { spliceV2, spliceV2Answer } from '../../../runtime/data/batching/splice-v2';
import { rounds } from '../../support/rounds';

// Joined and split again, every request is what it was, byte for byte.

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
const messageOf = (text: string): Message => ({ body: Buffer.from(text), jsonBytes: undefined });
const textOf = ({ body }: Message): string => body.toString('utf8');

const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => JSON.stringify(one)),
  fc.constantFrom('1.0', '-0', '1e3', '9007199254740993', '0.10', 'NaN', '-Infinity', 'Infinity'),
);
const string = fc.constantFrom('"头痛"', '"\\u5934\\u75db"', '"a\\"],[\\\\"', '"}{"', '""');
const scalar = fc.oneof(number, string, fc.constantFrom('true', 'false'));

const listed = (all: readonly string[], gap: string): string => `[${all.join(`,${gap}`)}]`;

interface Spec {
  readonly rows: number;
  readonly text: string;
}

function defined(cut: Splice | undefined): Splice {
  if (cut === undefined) throw new Error('it can be cut');
  return cut;
}

/** A list of elements for one row of this many, as one list or as lists. */
const rowsOf = (perRow: number) =>
  fc.array(fc.array(scalar, { minLength: perRow, maxLength: perRow }), {
    minLength: 1,
    maxLength: 3,
  });

const v1Requests = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom('', ' ', '\n  '))
  .chain(([width, gap]) => {
    const row = fc
      .tuple(fc.array(number, { minLength: width, maxLength: width }), string)
      .map(([numbers, text]) => `{"x":${listed(numbers, gap)},${gap}"t":${text}}`);
    return fc.array(
      fc.array(row, { minLength: 1, maxLength: 3 }).map((rows): Spec => {
        const text = `{${gap}"signature_name":${gap}"s\\u0031",${gap}"instances": ${listed(rows, gap)}${gap}}`;
        return { rows: rows.length, text };
      }),
      { minLength: 1, maxLength: 5 },
    );
  });

test('V1: instances joined are one call, and predictions split are their answers', () => {
  fc.assert(
    fc.property(v1Requests, (requests) => {
      const cuts = requests.map(({ text }) => defined(spliceV1(latin1(text))));
      expect(new Set(cuts.map(keyOf)).size).toBe(1);
      expect(cuts.map(({ rows }) => rows)).toEqual(requests.map(({ rows }) => rows));
      const whole = textOf(joinRequests(cuts));
      const echoed = whole.replace('"instances"', '"predictions"');
      const answers = splitAnswer(defined(spliceV1Answer(latin1(echoed))), cuts);
      expect(answers?.map(textOf)).toEqual(
        requests.map(({ text }) => text.replace('"instances"', '"predictions"')),
      );
    }),
    { numRuns: rounds(120), seed: 5 },
  );
});

const v2Requests = fc
  .tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.boolean(),
    fc.boolean(),
    fc.constantFrom('', ' ', '\n\t'),
  )
  .chain(([perRow, isNested, hasId, gap]) =>
    fc.array(
      fc.tuple(rowsOf(perRow), fc.integer({ min: 1, max: 99 })).map(([rows, id]): Spec => {
        const count = rows.length;
        const x = isNested ? rows.map((one) => listed(one, gap)) : rows.flat();
        const y = rows.map((one) => one[0] ?? '');
        const tensors = [
          `{"name":"x", "data":${gap}${listed(x, gap)},"shape":[${count},${gap}${perRow}],"datatype":"FP64"}`,
          `{"name":"y","datatype":"BYTES","shape":[${count}],"parameters":{"a":[1.0]},"data":${listed(y, gap)}}`,
        ];
        const head = hasId ? `"id":"r-${id}\\n",` : '';
        return { rows: count, text: `{${head}${gap}"inputs":${listed(tensors, gap)}}` };
      }),
      { minLength: 1, maxLength: 5 },
    ),
  );

test('V2 in JSON: tensors joined along their first dimension are one call, and split are their answers', () => {
  fc.assert(
    fc.property(v2Requests, (requests) => {
      const cuts = requests.map(({ text }) => defined(spliceV2(messageOf(text))));
      expect(new Set(cuts.map(keyOf)).size).toBe(1);
      const echoed = textOf(joinRequests(cuts)).replace('"inputs"', '"outputs"');
      const answers = splitAnswer(defined(spliceV2Answer(messageOf(echoed))), cuts);
      expect(answers?.map(textOf)).toEqual(
        requests.map(({ text }) => text.replace('"inputs"', '"outputs"')),
      );
    }),
    { numRuns: rounds(120), seed: 6 },
  );
});

function bytesTensor(texts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      return [length, text];
    }),
  );
}

const binaryRequests = fc.integer({ min: 1, max: 3 }).chain((perRow) =>
  fc.array(
    fc.integer({ min: 1, max: 3 }).chain((rows) => {
      const size = rows * perRow;
      const floats = fc.uint8Array({ minLength: 4 * size, maxLength: 4 * size });
      const texts = fc.array(fc.uint8Array({ maxLength: 5 }), { minLength: size, maxLength: size });
      return fc.tuple(floats, texts).map(([x, t]): Message & { readonly rows: number } => {
        const tail = [Buffer.from(x), bytesTensor(t.map((one) => Buffer.from(one)))];
        const [a = 0, b = 0] = tail.map(({ length }) => length);
        const json = Buffer.from(
          `{"inputs":[{"name":"x","shape":[${rows},${perRow}],"datatype":"FP32","parameters":{"binary_data_size":${a}}},` +
            `{"name":"证","shape":[${rows},${perRow}],"datatype":"BYTES","parameters":{"binary_data_size":${b}}}]}`,
        );
        return { body: Buffer.concat([json, ...tail]), jsonBytes: json.length, rows };
      });
    }),
    { minLength: 1, maxLength: 5 },
  ),
);

const asAnswer = ({ body, jsonBytes = 0 }: Message): Message => {
  const json = body.toString('latin1', 0, jsonBytes).replace('"inputs"', '"outputs"');
  const head = Buffer.from(json, 'latin1');
  return { body: Buffer.concat([head, body.subarray(jsonBytes)]), jsonBytes: head.length };
};

test('V2 in bytes: tensors behind the JSON are joined and split as the JSON is', () => {
  fc.assert(
    fc.property(binaryRequests, (requests) => {
      const cuts = requests.map((one) => defined(spliceV2(one)));
      expect(new Set(cuts.map(keyOf)).size).toBe(1);
      const answers = splitAnswer(defined(spliceV2Answer(asAnswer(joinRequests(cuts)))), cuts);
      expect(answers).toEqual(requests.map(({ body, jsonBytes }) => asAnswer({ body, jsonBytes })));
    }),
    { numRuns: rounds(120), seed: 8 },
  );
});

test('native: bodies joined are a batch, and its results are the answers', () => {
  const body = fc.tuple(scalar, fc.constantFrom('', ' ')).map(([value, gap]) => {
    return `{"input_data":${gap}{"x":${value}},${gap}"result":${gap}[${value}]}`;
  });
  fc.assert(
    fc.property(fc.array(body, { minLength: 1, maxLength: 5 }), (bodies) => {
      const whole = joinRequests(bodies.map((one) => spliceNative(latin1(one))));
      const echoed = textOf(whole).replace('"requests"', '"results"');
      const results = splitNative(latin1(echoed), bodies.length);
      expect(results).toEqual(bodies.map(latin1));
    }),
    { numRuns: rounds(80), seed: 9 },
  );
});

const tensor = (more: string): string => `{"name":"x","datatype":"FP32",${more}}`;
const inputs = (...all: readonly string[]): string => `{"inputs":[${all.join(',')}]}`;

test.each([
  ['one element too few', inputs(tensor('"shape":[2,2],"data":[1,2,3]'))],
  ['rows of unequal length', inputs(tensor('"shape":[2,2],"data":[[1,2,3],[4]]'))],
  ['empty lists for elements', inputs(tensor('"shape":[2,1],"data":[[],[]]'))],
  ['numbers beside lists', inputs(tensor('"shape":[2,1],"data":[1,[2]]'))],
  [
    'inputs with unequal first dimensions',
    inputs(tensor('"shape":[1],"data":[1]'), tensor('"shape":[2],"data":[1,2]')),
  ],
  ['a tensor without dimensions', inputs(tensor('"shape":[],"data":[1]'))],
  ['no rows', inputs(tensor('"shape":[0,2],"data":[]'))],
  ['no inputs', inputs()],
  ['a shape of anything but numbers', inputs(tensor('"shape":[1,NaN],"data":[1]'))],
  ['a tensor without data', inputs(tensor('"shape":[1]'))],
  ['bytes that are not there', inputs(tensor('"shape":[1],"parameters":{"binary_data_size":4}'))],
  ['a key twice', `{"inputs":[],${inputs(tensor('"shape":[1],"data":[1]')).slice(1)}`],
  ['a key in escapes', `{"in\\u0070uts":[],${inputs(tensor('"shape":[1],"data":[1]')).slice(1)}`],
  [
    'a sequence',
    `{"parameters":{"sequence_id":3},${inputs(tensor('"shape":[1],"data":[1]')).slice(1)}`,
  ],
  ['no JSON', '{"inputs":[}'],
  ['more behind the JSON', `${inputs(tensor('"shape":[1],"data":[1]'))} 1`],
])('V2 with %s goes alone', (_, text) => {
  expect(spliceV2(messageOf(text))).toBeUndefined();
});

test.each([
  ['columns', '{"inputs":{"x":[1,2]}}'],
  ['no rows', '{"instances":[]}'],
  ['rows of unequal shapes', '{"instances":[[1],[1,2]]}'],
  ['instances twice', '{"instances":[1],"instances":[2]}'],
  ['something else for instances', '{"instances":{"x":1}}'],
])('V1 with %s goes alone', (_, text) => {
  expect(spliceV1(text)).toBeUndefined();
});

const keys = (one: string, other: string): boolean =>
  keyOf(defined(spliceV2(messageOf(one)))) === keyOf(defined(spliceV2(messageOf(other))));

test('V2 requests that differ in more than their rows are not joined', () => {
  const one = inputs(tensor('"shape":[1,2],"data":[1,2]'));
  expect(keys(one, inputs(tensor('"shape":[3,2],"data":[1,2,3,4,5,6]')))).toBe(true);
  expect(keys(one, inputs(tensor('"shape":[1,3],"data":[1,2,3]')))).toBe(false);
  expect(keys(one, inputs(tensor('"shape":[1,2],"data":[[1,2]]')))).toBe(false);
  expect(keys(one, one.replace('FP32', 'FP64'))).toBe(false);
  expect(keys(one, one.replace('"x"', '"y"'))).toBe(false);
  expect(keys(one, one.replace('{"inputs"', '{"id":"a","inputs"'))).toBe(false);
  expect(keys(one, one.replace(/}$/, ',"outputs":[{"name":"y"}]}'))).toBe(false);
  expect(keys(one, one.replace(/}$/, ',"parameters":{"a":1}}'))).toBe(false);
});

test('V1 requests that differ in more than their rows are not joined', () => {
  const key = (text: string): string => keyOf(defined(spliceV1(text)));
  expect(key('{"instances":[[1,2]]}')).toBe(key('{"instances":[[3,4],[5.5,6]]}'));
  expect(key('{"instances":[[1,2]]}')).not.toBe(key('{"instances":[[1,2,3]]}'));
  expect(key('{"instances":[{"a":1}]}')).not.toBe(key('{"instances":[{"b":1}]}'));
  expect(key('{"instances":["a"]}')).not.toBe(key('{"instances":[1]}'));
  expect(key('{"instances":[1]}')).not.toBe(key('{"signature_name":"s","instances":[1]}'));
});

test('an answer with other rows than were asked cannot be split', () => {
  const asked = [1, 2].map((n) => defined(spliceV1(`{"instances":[[${n}]]}`)));
  const answer = (text: string) => splitAnswer(defined(spliceV1Answer(text)), asked);
  expect(answer('{"predictions":[1,2]}')).toHaveLength(2);
  expect(answer('{"predictions":[1]}')).toBeUndefined();
  expect(answer('{"predictions":[1,2,3]}')).toBeUndefined();
  expect(spliceV2Answer(messageOf('{"outputs":[]}'))).toBeUndefined();
  expect(splitNative('{"results":[1]}', 2)).toBeUndefined();
});

test('each request gets its id back, and one without an id gets the server’s', () => {
  const request = (id: string, n: number): string =>
    `{"id":"${id}","inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[${n}]}]}`;
  const cuts = [request('a', 1), request('b', 2)].map((one) => defined(spliceV2(messageOf(one))));
  const answer =
    '{"model_name":"m","id":"a","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[3,4]}]}';
  const own = splitAnswer(defined(spliceV2Answer(messageOf(answer))), cuts)?.map(textOf);
  expect(own).toEqual([
    '{"model_name":"m","id":"a","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[3]}]}',
    '{"model_name":"m","id":"b","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[4]}]}',
  ]);
});

test('a result that is an error is not used, and its caller is answered by a call of its own', () => {
  const text = '{"results":[{"result":1},{"error":"negative"},{"result":{"error":1}}, 7]}';
  expect(splitNative(text, 4)).toEqual([
    '{"result":1}',
    undefined,
    '{"result":{"error":1}}',
    undefined,
  ]);
});
