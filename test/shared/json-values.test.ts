import * as fc from 'fast-check';
import { parseExact } from '../../runtime/onnx/json';
import { readJson, readLoose } from '../../runtime/data/transcode/exact-json';
import { valueWith } from '../../runtime/shared/json-values';
import { rounds } from '../support/rounds';

const values = (text: string): unknown => valueWith(text, Number, 'strict');

/** What a reader makes of a text; undefined: it is not JSON. */
function tried(read: (text: string) => unknown, text: string): { value: unknown } | undefined {
  try {
    return { value: read(text) };
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return undefined;
  }
}

const PIECES = ['', ',', ':', '[', ']', '{', '}', '"', '\\', '-', '.', '0', '1', 'e', '\t', '\n'];
const MORE = [' ', '\u0001', '\u00a0', 'true', 'nul', '+', 'NaN', '-Infinity', '\\u00e9', '\ud800'];

/** JSON with a few places changed, which makes it something else, or no JSON at all. */
const nearlyJson = fc
  .tuple(
    fc.json(),
    fc.array(fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...PIECES, ...MORE)), { maxLength: 3 }),
  )
  .map(([text, changes]) =>
    changes.reduce((all, [at, cut, piece]) => {
      const from = at % (all.length + 1);
      return all.slice(0, from) + piece + all.slice(from + cut);
    }, text),
  );

test('texts that JSON.parse accepts are accepted, with the same values, and no others', () => {
  fc.assert(
    fc.property(nearlyJson, (text) => {
      // V8 13.6 and 14.6 read some keys with backslashes wrongly (nodejs/node#63785).
      fc.pre(!text.includes('\\\\'));
      expect(tried(values, text)).toEqual(tried((one) => JSON.parse(one) as unknown, text));
    }),
    { numRuns: rounds(1_000) },
  );
});

test.each([
  ['', 'Unexpected end at position 0'],
  ['[1,]', 'Unexpected "]" at position 3'],
  ['{"a":1,}', 'Unexpected "}" at position 7'],
  ['{"a" 1}', 'Unexpected "1" at position 5'],
  ['["a', 'Unexpected "\\"" at position 1'],
  ['["\\x"]', 'Unexpected "\\"" at position 1'],
  ['[01]', 'Unexpected "1" at position 2'],
  ['[NaN]', 'Unexpected "N" at position 1'],
  ['1 2', 'Unexpected "2" at position 2'],
])('%s is refused with the place', (text, words) => {
  expect(() => values(text)).toThrow(words);
});

test('a text with special numbers is read once by every reader', () => {
  const parse = jest.spyOn(JSON, 'parse');
  const text = `{"a":[NaN,-Infinity,9007199254740993,1.0${',0.5'.repeat(1000)}],"b":"x"}`;
  expect(parseExact(text, 'exact integers')).toMatchObject({ b: 'x' });
  expect(readLoose(text)).toMatchObject({ b: 'x' });
  const strict = text.replace('NaN,-Infinity,', '');
  expect(readJson(strict)).toMatchObject({ b: 'x' });
  expect(parse).not.toHaveBeenCalled();
  parse.mockRestore();
});

test('an integer beyond 64 bits is not made, however many digits it has', () => {
  const [long, short] = parseExact(
    `[${'9'.repeat(100_000)},-9223372036854775808]`,
    'exact integers',
  ) as readonly unknown[];
  expect([long, short]).toEqual([Infinity, -(2n ** 63n)]);
});
