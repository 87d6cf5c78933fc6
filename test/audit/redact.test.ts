import { parseJsonPath } from '../../lib/config';
import { payloadSampler } from '../../runtime/audit';

// What of a body is in the record.

const MAX_BYTES = 16_384;

function sampler(redact: readonly string[], maxBytes = MAX_BYTES) {
  const paths = redact.map((path) => parseJsonPath(path) ?? []);
  return payloadSampler({
    sampleRatio: 1,
    models: ['iris'],
    redact: paths,
    maxBytes,
    random: () => 0,
  });
}

function recorded(body: string | Buffer, redact: readonly string[] = [], maxBytes = MAX_BYTES) {
  const request = { bytes: Buffer.from(body as string) };
  const text = sampler(redact, maxBytes).write('iris', { request, answer: undefined });
  // It is part of a line of JSON, whatever the body was.
  expect(text).not.toMatch(/\n/);
  JSON.parse(text ?? '');
  return text?.slice('{"request":{"body":'.length, -2);
}

const X = '"[redacted]"';

test.each<readonly [name: string, path: string, body: string, is: string]>([
  ['a member', '$.a.b', '{"a":{"b":1,"c":2},"b":3}', `{"a":{"b":${X},"c":2},"b":3}`],
  ['a whole object', '$.a', '{"a":{"b":[1,{"c":"]}"}]},"d":1}', `{"a":${X},"d":1}`],
  [
    'each element',
    '$.a[*].b',
    '{"a":[{"b":1},{"b":2,"c":3},4]}',
    `{"a":[{"b":${X}},{"b":${X},"c":3},4]}`,
  ],
  ['lists in lists', '$.a[*][*].b', '{"a":[[{"b":1}],{"b":2}]}', `{"a":[[{"b":${X}}],{"b":2}]}`],
  ['a list at the root', '$[*].b', '[{"b":1},[{"b":2}]]', `[{"b":${X}},[{"b":2}]]`],
  [
    'every value of a list',
    '$.a[*]',
    '{"a":[1,"x",[2],{"y":3},null]}',
    `{"a":[${X},${X},${X},${X},${X}]}`,
  ],
  ['every member', '$.*', '{"a":1,"b":[2]}', `{"a":${X},"b":${X}}`],
  [
    'any depth',
    '$..b',
    '{"b":1,"a":[{"b":{"b":2}},{"c":{"b":3}}]}',
    `{"b":${X},"a":[{"b":${X}},{"c":{"b":${X}}}]}`,
  ],
  [
    'any depth, then a member',
    '$..a.b',
    '{"a":{"a":{"b":1},"b":2},"b":3}',
    `{"a":{"a":{"b":${X}},"b":${X}},"b":3}`,
  ],
  [
    'twice any depth',
    '$..a..b',
    '{"b":1,"a":[{"b":2,"a":{"b":3}}]}',
    `{"b":1,"a":[{"b":${X},"a":{"b":${X}}}]}`,
  ],
  [
    'a name in brackets',
    `$['a-b']["c d"]`,
    '{"a-b":{"c d":1,"c":2}}',
    `{"a-b":{"c d":${X},"c":2}}`,
  ],
  ['any depth in brackets', `$..['a.b']`, '[{"a.b":1,"a":{"b":2}}]', `[{"a.b":${X},"a":{"b":2}}]`],
  ['both of two members of one name', '$.a', '{"a":1,"b":2,"a":3}', `{"a":${X},"b":2,"a":${X}}`],
  [
    'a name with escapes',
    '$.secret',
    '{"\\u0073ecret":1,"s\\u0065cret":2}',
    `{"\\u0073ecret":${X},"s\\u0065cret":${X}}`,
  ],
  [
    'a name with an escaped quote before it',
    '$.b',
    '{"a\\\\":"\\"","b":"\\\\"}',
    `{"a\\\\":"\\"","b":${X}}`,
  ],
  ['a name beyond ASCII', '$.患者', '{"患者":"x","患":1}', `{"患者":${X},"患":1}`],
  [
    'a name that objects have',
    '$.__proto__',
    '{"__proto__":{"a":1},"a":2}',
    `{"__proto__":${X},"a":2}`,
  ],
  [
    'not a value that looks like a name',
    '$.a',
    '{"b":"a","c":["a",{"d":"a"}]}',
    '{"b":"a","c":["a",{"d":"a"}]}',
  ],
  ['not an element for a name', '$.a.b', '{"a":[{"b":1}]}', '{"a":[{"b":1}]}'],
  [
    'numbers keep their digits',
    '$.x',
    '[12345678901234567890.10, -0.0, 1E400]',
    '[12345678901234567890.10,-0.0,1E400]',
  ],
  [
    'space between is left out',
    '$.a',
    ' {\r\n"a" :\t[ 1 ,\n2 ] , "b c" : "d  e"\n}\n',
    `{"a":${X},"b c":"d  e"}`,
  ],
  ['a text alone', '$.a', ' "a" ', '"a"'],
])('%s: %s', (_, path, body, is) => {
  expect(recorded(body, [path])).toBe(is);
});

test('several paths hold together', () => {
  const body = '{"a":{"b":1,"c":2},"d":[{"e":3}],"f":4}';
  expect(recorded(body, ['$.a.b', '$.d[*].e', '$.f', '$.a.nothing'])).toBe(
    `{"a":{"b":${X},"c":2},"d":[{"e":${X}}],"f":${X}}`,
  );
});

const nested = (depth: number, inner = '1'): string =>
  '['.repeat(depth) + inner + ']'.repeat(depth);

test.each<readonly [why: string, body: string | Buffer, path: string]>([
  ['too_large', `"${'x'.repeat(MAX_BYTES)}"`, '$.x'],
  // It grows when each of its values is replaced.
  ['too_large', `[${'1,'.repeat(MAX_BYTES / 4)}1]`, '$[*]'],
  ['not_json', '{"secret":1', '$.x'],
  ['not_json', '{"secret":NaN}', '$.x'],
  ['not_json', '', '$.x'],
  ['binary', Buffer.from([0x7b, 0xff, 0x7d]), '$.x'],
  ['too_deep', nested(129), '$.x'],
  ['too_deep', nested(8000), '$.x'],
])('%s: it is told, and nothing of it is recorded (%#)', (why, body, path) => {
  const request = { bytes: Buffer.from(body as string) };
  const text = sampler([path]).write('iris', { request, answer: undefined });
  expect(text).toBe(`{"request":{"omitted":"${why}"}}`);
});

test('a value that is replaced may be nested however deeply', () => {
  const body = `{"a":${nested(8000, '{"b":"]"}')},"c":1}`;
  expect(recorded(body, ['$.a'])).toBe(`{"a":${X},"c":1}`);
  expect(recorded(nested(128))).toBe(nested(128));
});

test('a body that says it is omitted is told from one that is', () => {
  expect(recorded('{"omitted":"binary"}')).toBe('{"omitted":"binary"}');
});

test('other models, and requests without one, are not recorded', () => {
  const payload = { request: { bytes: Buffer.from('1') }, answer: undefined };
  expect(sampler([]).write('rose', payload)).toBeUndefined();
  expect(sampler([]).write(undefined, payload)).toBeUndefined();
});

test('samples the given part, and no more requests at once than memory is meant for', () => {
  const values = [0.09, 0.1, 0.5, 0];
  const options = { sampleRatio: 0.1, models: ['*'], redact: [], maxBytes: 1 };
  const some = payloadSampler({ ...options, random: () => values.shift() ?? 0 });
  expect([0, 0, 0, 0].map(() => some.begin())).toEqual([
    'sampled',
    'not_sampled',
    'not_sampled',
    'sampled',
  ]);
  const rest = Array.from({ length: 127 }, () => some.begin());
  expect([rest.filter((one) => one === 'sampled').length, rest.at(-1)]).toEqual([126, 'busy']);
  some.end();
  expect([some.begin(), some.begin()]).toEqual(['sampled', 'busy']);
});

test.each([
  '',
  '$',
  'a.b',
  '$a',
  '$.',
  '$.a.',
  '$..',
  '$.a[0]',
  '$.a[?(@.b)]',
  '$.a-b',
  '$.a b',
  "$['a]",
  "$['']",
  "$['a\\'b']",
  '$.a'.repeat(9),
  `$${'.a'.repeat(17)}`,
])('%j is not a path', (path) => {
  expect(parseJsonPath(path)).toBeUndefined();
});
