import { isLarge, JsonTooComplex, survey, textsNamed } from '../../runtime/shared/json-survey';

const bytes = (text: string): Buffer => Buffer.from(text);
const limits = { depth: 3, values: 10, containers: 5, names: 2 };

describe('a survey of a JSON text', () => {
  test.each([
    ['{}', 1],
    ['[1,2,3]', 3],
    ['{"a":[1,{"b":2}],"c":"[,{"}', 5],
    [String.raw`["\"", "\\", "[\\\"[,"]`, 3],
  ])('%s', (text, values) => {
    expect(survey(bytes(text))).toBe(values);
  });

  test.each([
    ['[[[[', 'depth'],
    ['[1,2,3,4,5,6,7,8,9,10,11,12]', 'values'],
    ['[[],[],[],[],[],[]]', 'containers'],
    ['{"a":1,"b":2,"c":3}', 'names'],
  ] as const)('refuses %s with more %s than the limit', (text, what) => {
    expect(() => survey(bytes(text), limits)).toThrow(new JsonTooComplex(what, limits[what]));
  });

  test('counts the names of each object separately', () => {
    expect(survey(bytes('[{"a":1,"b":2},{"a":1,"b":2}]'), limits)).toBe(6);
  });

  test('skips the strings of a long text with few values', () => {
    const text = bytes(`["${'\\\\'.repeat(1_000_000)}","${'a'.repeat(1_000_000)}"]`);
    const found = jest.spyOn(text, 'indexOf');
    expect(survey(text)).toBe(2);
    expect(found.mock.calls).toHaveLength(2);
  });
});

describe('the texts of a name', () => {
  test.each([
    ['{"model":"a"}', ['a']],
    [' {"x":{"model":"b"},"model" : "a"}', ['a']],
    [String.raw`{"\u006dodel":"\u0061"}`, ['a']],
    [String.raw`{ "\"model" : {"c":[{"model":1}]}, "e":":model" ,"model":"a\"b" }`, ['a"b']],
    ['{"model":"a","MODEL":"b"}', ['a', 'b']],
    ['{"model":7,"x":["model"]}', [undefined]],
    ['{"x":"model"}', []],
    ['["model"]', undefined],
    ['{"model":"a"', undefined],
    ['{"model":"a"}}', undefined],
    ['', undefined],
  ])('%s', (text, names) => {
    expect(textsNamed(bytes(text), 'model')).toEqual(names);
  });
});

test('a body is large by its bytes, or by its values', () => {
  const list = (count: number): Buffer => bytes(`[${'1,'.repeat(count)}1]`);
  expect([list(8000), list(9000), list(11_000)].map(isLarge)).toEqual([false, false, true]);
  expect(isLarge(bytes(`"${'a'.repeat(200_000)}"`))).toBe(false);
  expect(isLarge(bytes(`"${'a'.repeat(300_000)}"`))).toBe(true);
  expect(isLarge(bytes('['.repeat(20_000)))).toBe(true);
});
