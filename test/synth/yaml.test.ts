import { Yaml } from 'cdk8s';
import * as fc from 'fast-check';
import { yamlOf } from '../../lib/synth/yaml';

/** Texts at the edges of YAML: what looks like another type, indicators, blanks, newlines, escapes. */
const awkward = fc
  .array(
    fc.constantFrom(
      ...' \n\t:#-?,[]{}&*!|>\'"%@`~\\$./0123456789_+eExXoOyYnNabTtFf<=',
      '\r',
      '\u0000',
      '\u0085',
      '\u00a0',
      '\u2028',
      '\ufeff',
      '\ud800',
      '😀',
      '症状',
      '\n\n',
      '---',
      '...',
      ': ',
      ' #',
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(''));
const typed = fc.constantFrom(
  ...`1_000 0o7 0777 0x1F 0b1 1e3 e9 .5 5. . - + 1:20 1:20.5 2024-01-02 2024-01-02T03:04:05Z yes No on y
  N ~ null Null NULL .inf -.INF .NaN << = true FALSE 12 -0 1e5 250m 8Gi 25% 0.5 -- --- ... %a ?`.split(
    /\s+/,
  ),
  ...'|2024-1-2 3:4:5 +5|? a|- a|a: b'.split('|'),
);
const text = fc.oneof(
  awkward,
  typed,
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
);
const scalar = fc.oneof(text, fc.integer(), fc.double(), fc.boolean());
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const document = fc.dictionary(text, value, { maxKeys: 5, noNullPrototype: true });

test('every document has the bytes cdk8s writes', () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 2 }), (docs) => {
      expect(yamlOf(docs)).toBe(Yaml.stringify(...docs));
    }),
    { numRuns: 2000 },
  );
});

test('a document of many lines, as a stored definition is, keeps its bytes', () => {
  const definition = JSON.stringify({ a: [1, { b: '症状: \n x ' }], c: '# d' }, null, 2);
  const docs = [{ data: { 'definition.json': definition, other: `${definition}\n\n` } }];
  expect(yamlOf(docs)).toBe(Yaml.stringify(...docs));
});
