import * as fc from 'fast-check';

const SURROGATES = { first: 0xd800, count: 0x800 };

/**
 * Any character. The characters of `unit: 'binary'` are the same, but fast-check makes a table of
 * this whole million of them first: a second and a hundred megabytes for each test file.
 */
const anyCharacter = fc.integer({ min: 0, max: 0x10ffff - SURROGATES.count }).map(
  (n) => String.fromCodePoint(n < SURROGATES.first ? n : n + SURROGATES.count),
  (character) => {
    const code = typeof character === 'string' ? character.codePointAt(0) : undefined;
    if (code === undefined || String.fromCodePoint(code) !== character) throw new Error('not one');
    return code < SURROGATES.first ? code : code - SURROGATES.count;
  },
);

/** Texts of any characters, and names that every object of JavaScript knows. */
export const anyText: fc.Arbitrary<string> = fc.string({ unit: anyCharacter });

/** Paths of any characters, encoded; `fc.webPath()` makes the same table. */
export const anyPath: fc.Arbitrary<string> = fc
  .array(anyText)
  .map((segments) => segments.map((one) => `/${encodeURIComponent(one)}`).join(''));

/** Addresses of any host and path. */
export const anyUrl: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('http', 'https'), fc.webAuthority(), anyPath)
  .map(([scheme, authority, path]) => `${scheme}://${authority}${path}`);

/** Words that some reader of YAML takes for another type when they stand without quotes. */
export const SPECIAL_WORDS: readonly string[] = [
  '',
  ...`~ null Null NULL y Y yes Yes YES on On ON true True TRUE n N no No NO off Off OFF false False
  FALSE << = 0b1 0B1 -0b1 +0b1_0 0b-1 0o22 0O22 -0o7 0_o22 0x1F 0X1f +0x1F 0x_1 0777 0_7 08 12 -12
  +12 -0 1_000 _1 1__ +_1 99999999999999999999 018446744073709551616 1:20 -1:20:30 1:20.5 .5 5. -.5
  1.5 1_0.5 1e3 1E3 1e-3 1_e3 1e_3 1.e3 .1e2 1e999 . - + +. .inf .Inf -.INF +.inf .nan .NaN .NAN
  2024-01-02 2024-1-2 2024-01-02T03:04:05Z 2024-1-2t3:4:5+08:00`.split(/\s+/),
  '2024-01-02 03:04:05.5',
  '2024-1-2 3:4:5 +5',
];

/** Characters that a reader refuses or takes for a line break, beside those with a meaning in YAML. */
export const SPECIAL_CHARACTERS: readonly string[] = [
  ...' \n\t:#-?,[]{}&*!|>\'"%@`~\\$./0123456789_+eExXoObByYnNaTtFf<=\r',
  ...'\u007f\u0080\u0085\u009f\u00a0\u00ad\u200b\u2028\u2029\u202e\ufeff\ufffd\ufffe\uffff\u0001',
  '\u{1ffff}',
  '\u{e0001}',
  '\u{10ffff}',
  '😀',
  '症状',
  '\n\t',
  '\n ',
  '---',
  '...',
  ': ',
  ' #',
  '0o',
  '0x',
  '0b',
  '- ',
  '? ',
];

/** Texts at the edges of YAML. */
export const awkwardText: fc.Arbitrary<string> = fc.oneof(
  fc.array(fc.constantFrom(...SPECIAL_CHARACTERS), { maxLength: 14 }).map((all) => all.join('')),
  fc
    .array(fc.constantFrom(...'0123456789_+-.:eExXobTZ tnyinfa=<'), { maxLength: 8 })
    .map((all) => all.join('')),
  fc.constantFrom(...SPECIAL_WORDS),
  fc.string({ unit: 'grapheme' }),
  anyText.map((text) => text.replaceAll('\0', '')),
);
