import * as fc from 'fast-check';
import {
  ExactNumber,
  exactly,
  isInteger,
  numberOf,
  readLoose,
  readJson,
  writeJson,
  writeStrict,
} from '../../../runtime/data/transcode/exact-json';
import { anyText } from '../../support/texts';
import { rounds } from '../../support/rounds';

/** A number as JSON may write it, in ways JavaScript would not. */
const numberText = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(fc.constant('0'), fc.stringMatching(/^[1-9][0-9]{0,24}$/)),
    fc.oneof(fc.constant(''), fc.stringMatching(/^\.[0-9]{1,20}$/)),
    fc.oneof(fc.constant(''), fc.stringMatching(/^[eE][+-]?[0-9]{1,2}$/)),
  )
  .map((parts) => parts.join(''));

// No backslash in a key: V8 13.6 and 14.6 read `"\\\"` as a key that they have seen before when that
// one ends in a backslash (nodejs/node#63785). JSON.parse itself is wrong there, nothing of ours.
const text: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    numberText,
    fc.constantFrom('true', 'false', 'null'),
    anyText.map((one) => JSON.stringify(one)),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z".0-9]{1,6}$/), tie('value')), {
        maxLength: 4,
        // Keys that look like indices would be put first by every JavaScript object.
        selector: ([key]) => key,
      })
      .map((all) => all.filter(([key]) => !/^\d+$/.test(key)))
      .map((all) => `{${all.map(([key, one]) => `${JSON.stringify(key)}:${one}`).join(',')}}`),
  ),
})).value;

const numbersIn = (json: string): readonly string[] =>
  json.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? [];

/** Integers by their text; floats by their value, and as floats. */
const meaning = (number: string): string =>
  /^-?\d+$/.test(number) ? number : `float ${Number(number)}`;

test('reading and writing keeps every number, in any spelling', () => {
  fc.assert(
    fc.property(text, (one) => {
      const again = writeJson(readJson(one));
      expect(numbersIn(again).map(meaning)).toEqual(numbersIn(one).map(meaning));
      expect(again.replaceAll(/[\d.eE+-]/g, '')).toBe(one.replaceAll(/[\d.eE+-]/g, ''));
    }),
    { numRuns: rounds(1_000) },
  );
});

test('a number that only has another spelling is a plain number', () => {
  expect(readJson('[0.10, 1.5e-3, 0.30000000000000004]')).toEqual([
    0.1, 0.0015, 0.30000000000000004,
  ]);
});

test('values are those of JSON.parse, except numbers that a double would change', () => {
  fc.assert(
    fc.property(fc.json(), (one) => {
      fc.pre(!one.includes('\\\\'));
      const plain = JSON.stringify(JSON.parse(one));
      expect(JSON.stringify(JSON.parse(writeJson(readJson(one))))).toBe(plain);
    }),
  );
});

test('ordinary numbers are plain ones', () => {
  expect(readJson('{"a":[35,0.5,-2,12.75]}')).toEqual({ a: [35, 0.5, -2, 12.75] });
});

test('an integer above 2^53 keeps its digits, a float its point', () => {
  const value = readJson('[9007199254740993, 1.0, 1e3]') as readonly unknown[];
  expect(value).toEqual([
    new ExactNumber('9007199254740993'),
    new ExactNumber('1.0'),
    new ExactNumber('1e3'),
  ]);
  expect(value.map(numberOf)).toEqual([9007199254740992, 1, 1000]);
  expect(value.map(isInteger)).toEqual([true, false, false]);
});

test('a number within a string is text', () => {
  expect(readJson('["1.0 \\" 1.0", 1.0]')).toEqual(['1.0 " 1.0', new ExactNumber('1.0')]);
});

test('NaN and infinities are numbers, those within strings are texts', () => {
  const given = '{"a":NaN,"b":[-Infinity,Infinity,1.5,-0.0],"c":"NaN"}';
  const value = readLoose(given);
  expect(value).toEqual({
    a: new ExactNumber('NaN'),
    b: [new ExactNumber('-Infinity'), new ExactNumber('Infinity'), 1.5, new ExactNumber('-0.0')],
    c: 'NaN',
  });
  expect(numberOf((value as { a: unknown }).a)).toBeNaN();
  expect(writeJson(value)).toBe(given);
  expect(writeStrict(value)).toBe('{"a":"NaN","b":["-Infinity","Infinity",1.5,-0.0],"c":"NaN"}');
});

test('numbers that were not read from JSON are written without loss', () => {
  expect(writeJson([-0, 0, NaN, -Infinity, 1.5].map(exactly))).toBe('[-0.0,0,NaN,-Infinity,1.5]');
});

test('invalid JSON is an error, for strict readers NaN too', () => {
  for (const wrong of ['', '{', '{"a":01}', '{"a":1.}', '{"a":NaN}', '[1,]', "{'a':1}"]) {
    expect(() => readJson(wrong)).toThrow(SyntaxError);
  }
  expect(() => readLoose('nan')).toThrow(SyntaxError);
});
