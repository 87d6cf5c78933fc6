import * as fc from 'fast-check';
import { readLoose, readJson, writeJson } from '../../../runtime/data/transcode/exact-json';
import { readResult } from '../../../runtime/data/transcode/native-format';
import {
  outputValue,
  splicedAnswer,
  splicedCall,
  splicedResult,
  splicedV2,
} from '../../../runtime/data/transcode/copied-text';
import type { JsonObject } from '../../../runtime/data/transcode/body-json';
import { nativeToV2, v2ToNative } from '../../../runtime/data/transcode/v2';
import { rounds } from '../../support/rounds';

// The short way must say what the long way says, or nothing.

const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => JSON.stringify(one)),
  fc.constantFrom(
    '1.0',
    '-0',
    '1e3',
    '9007199254740993',
    '0.10',
    '-1.5E-7',
    '12345678901234567890',
  ),
);
const blanks = fc.constantFrom('', '', '', ' ', '\n  ', '\t');
const listOf = (element: fc.Arbitrary<string>) =>
  fc
    .tuple(fc.array(fc.tuple(blanks, element, blanks), { minLength: 1, maxLength: 5 }))
    .map(([all]) => `[${all.map((one) => one.join('')).join(',')}]`);
const tensor = fc.oneof(
  number,
  listOf(number),
  listOf(listOf(number)),
  // Ragged, empty, of texts: the long way's business.
  fc.constantFrom('[]', '[[1],[2,3]]', '["a","b"]', 'true', 'null', '[1,"a"]', '{"b":1}', '[[]]'),
);
const name = fc.constantFrom('x', 'y', '症状', 'a b', 'a.b', '__proto__', '');
const call = fc
  .tuple(fc.array(fc.tuple(name, tensor), { maxLength: 3 }), blanks, fc.boolean())
  .map(([inputs, blank, more]) => {
    const all = inputs.map(([key, value]) => `${JSON.stringify(key)}:${blank}${value}`);
    const parameters = more ? `,${blank}"parameters":{"top_k": 3, "a": ["b", null]}` : '';
    return `{${blank}"input_data":{${all.join(',')}}${parameters}${blank}}`;
  });

/** Numbers of the same value and kind count as the same text: 0.10 is 0.1. */
const plain = (text: string): unknown => JSON.parse(writeJson(readJson(text)));

function longWay(text: string): unknown {
  const { input_data: input, parameters } = readJson(text) as Record<string, JsonObject>;
  try {
    const inputs = nativeToV2(input as JsonObject, undefined);
    return JSON.parse(writeJson({ inputs, ...(parameters && { parameters }) }));
  } catch {
    return 'refused';
  }
}

test('a call to V2 is the same in both ways of transcoding', () => {
  let short = 0;
  fc.assert(
    fc.property(call, (text) => {
      const item = splicedCall(text);
      const spliced = item && splicedV2(item, undefined);
      if (spliced === undefined) return;
      short += 1;
      expect(plain(spliced)).toEqual(longWay(text));
    }),
    { numRuns: rounds(700), seed: 7 },
  );
  expect(short).toBeGreaterThan(rounds(700) / 6);
});

test.each([
  '{"input_data":{"x":[1,2,]}}',
  '{"input_data":{"x":[01]}}',
  '{"input_data":{"x":[1 2]}}',
  '{"input_data":{"x":[.5]}}',
  '{"input_data":{"x":[1.]}}',
  '{"input_data":{"x":[1e]}}',
  '{"input_data":{"x":[+1]}}',
  '{"input_data":{"x":[NaN]}}',
  '{"input_data":{"x":[1]}} x',
  '{"input_data":{"x":[1]}',
  '{"input_data":{"x":1},"input_data":{"x":2}}',
  '{"input_data":{"x":1,"x":2}}',
  '{"input_data":{"x\\n":1}}',
  '{"input_data":{"x":1},"timeout":3}',
  '{"input_data":{"x":1},"parameters":{"a":tru}}',
  '{"input_data":{"x":1},"parameters":3}',
  '{"input_data":[1]}',
  '{"parameters":{}}',
  '\u00a0{"input_data":{"x":1}}',
  `{"input_data":{"x":${'['.repeat(99)}1${']'.repeat(99)}}}`,
  '[]',
  '',
])('%s is left to the general way', (text) => {
  expect(splicedCall(text)).toBeUndefined();
});

test('known inputs give datatypes and shapes; unknown ones are refused', () => {
  const item = splicedCall('{"input_data":{"x":[1,2]}}');
  if (item === undefined) throw new Error('it is simple');
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [-1, 1, 2] }];
  expect(splicedV2(item, { inputs })).toBe(
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1,2],"data":[1,2]}]}',
  );
  const other = { name: 'y', datatype: 'FP32', shape: [-1] };
  expect(splicedV2(item, { inputs: [other] })).toBeUndefined();
});

const output = fc
  .tuple(
    fc.constantFrom('y', 'confidence', 'probabilities', '证型'),
    fc.array(number, { maxLength: 4 }),
  )
  .chain(([key, data]) =>
    fc
      .constantFrom(`[1,${data.length}]`, `[${data.length}]`, '[]', `[${data.length},1]`, '[2,2]')
      .map((shape) => {
        const values = data.join(', ');
        return `{"name":"${key}","datatype":"FP64","shape":${shape},"data":[${values}]}`;
      }),
  );
const answer = fc.tuple(fc.array(output, { maxLength: 3 }), fc.boolean()).map(([outputs, more]) => {
  const rest = more ? ',"id":"a","parameters":{"a":[1,{"b":null}]}' : '';
  return `{"model_name":"m","outputs":[${outputs.join(',')}]${rest}}`;
});

test('a V2 response is the same in both ways', () => {
  let short = 0;
  fc.assert(
    fc.property(answer, (text) => {
      const spliced = splicedAnswer(text);
      if (spliced === undefined) return;
      short += 1;
      const long = v2ToNative(readLoose(text));
      const written = JSON.parse(writeJson(outputValue(spliced.output)));
      expect(written).toEqual(JSON.parse(writeJson(long?.output)));
      expect(spliced.confidence).toEqual(long?.confidence);
    }),
    { numRuns: rounds(700), seed: 11 },
  );
  expect(short).toBeGreaterThan(rounds(700) / 10);
});

test('a native response is the same in both ways, with its texts', () => {
  const text = '{"result": {"label": "气虚", "p": [1.0, {"a": null}]}, "confidence": 0.75, "x": 1}';
  const spliced = splicedResult(text);
  expect(outputValue(spliced?.output)).toEqual(readResult(readLoose(text))?.output);
  expect(spliced?.confidence).toBe(0.75);
  expect(splicedResult('{"result": NaN, "confidence": 1}')).toBeUndefined();
  expect(splicedResult('{"result": 1}')).toBeUndefined();
});
