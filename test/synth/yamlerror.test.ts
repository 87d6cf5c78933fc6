import { ConfigError, parseConfig } from '../../runtime/app/config';
import { parseYaml } from '../../lib/synth/text';

// Slips of people who write YAML: each is told in plain words, with its line and what to write.

function said(text: string): string {
  try {
    return JSON.stringify(parseYaml(text, 'm.yaml').value);
  } catch (error) {
    return (error as Error).message;
  }
}

/** Of the parser's own vocabulary. */
const JARGON =
  /implicit|compact|mapping|scalar|flow|indicator|collection|sequence|token|node|unresolved/i;

const INDENT = 'the line is indented differently from the lines beside it; indent the keys of one';
const COMMAS = 'the entries of [ ] and { } are separated by commas; add or remove one';

const SLIPS: readonly (readonly [string, string, string])[] = [
  ['a space is missing', 'model_id: a\nversion:"1"\nname: b\n', '2:1: a space is missing behind'],
  [
    'it says what to write',
    'a:\n  min_replicas:1\n  b: 2\n',
    '2:3: a space is missing behind the colon; write min_replicas: 1',
  ],
  [
    'in the last line',
    'a: 1\nframework:onnx\n',
    '2:1: a space is missing behind the colon; write framework: onnx',
  ],
  [
    'in a list',
    'a:\n  - version:v2\n    b: 1\n',
    '2:5: a space is missing behind the colon; write version: v2',
  ],
  [
    'a no-break space',
    'a: 1\nb:\u00a02\nc: 3\n',
    '2:1: a space is missing behind the colon; write b: 2',
  ],
  [
    'a wide colon',
    'a: 1\nversion：1\n',
    '2:1: version is followed by the wide colon ：; write version: 1',
  ],
  [
    'a word alone',
    'a: 1\nfoo\nb: 2\n',
    '2:1: "foo" is not a key with a value; write key: value, or',
  ],
  [
    'a tab',
    'scaling_config:\n\tmin_replicas: 1\n',
    '2:1: the line is indented with a tab; indent it with spaces',
  ],
  [
    'a colon in a value',
    'a: 1\nname: Triage: a model\n',
    '2:7: the value holds a colon, which begins another key; put it in quotes: "Triage: a model"',
  ],
  [
    'too deep',
    'model_id: a\n\n  version: "1"\n',
    '3:3: this line is indented below a key that has a value already; indent it as far as',
  ],
  ['not deep enough', 'a:\n    b: 1\n  c: 2\n', `3:1: ${INDENT}`],
  ['not as its list', 'a:\n  - b: 1\n   c: 2\n', `3:1: ${INDENT}`],
  [
    'a double quote',
    'a: 1\nversion: "1\nframework: onnx\n',
    '2:10: the " that opens here is not closed; add " at the end of the value',
  ],
  [
    'a single quote',
    "a: 'x\nb: 1\n",
    "1:4: the ' that opens here is not closed; add ' at the end of the value",
  ],
  [
    'a list',
    'a: 1\ncommand: [a, b\nc: 1\n',
    '2:10: the [ that opens here is not closed; add ], or put the whole',
  ],
  [
    'an object',
    'a: {b: 1\nc: 1\n',
    '1:4: the { that opens here is not closed; add }, or put the whole',
  ],
  ['a bracket too many', 'a: [b]]\n', '1:7: a closing bracket has none that opens it; remove it'],
  ['a comma too many', 'a: [1,, 2]\n', `1:7: ${COMMAS}`],
  ['no comma', 'a: {b: 1 c: 2}\n', `1:8: ${COMMAS}`],
  ['text behind quotes', 'a: "x" y\n', '1:8: text follows the end of the value; remove it'],
  ['a comment without a space', 'a: "x"#c\n', '1:7: a space is missing before #; add it, or put'],
  [
    'a list beside its key',
    'a: - b\n',
    '1:4: a list begins on the line below its key; move the dash there',
  ],
  [
    'text behind |',
    'a: |x\n  b\n',
    '1:5: no text may follow | or > on its line; begin the text on the next line',
  ],
  ['a sign of YAML', 'a: @x\n', '1:4: a value cannot begin with @; put it in quotes: "@x"'],
  ['a star', 'a: *\n', '1:4: a value cannot begin with *; put it in quotes: "*"'],
  [
    'a backslash',
    'a: "C:\\model"\n',
    '1:7: a backslash in double quotes begins an escape; write \\\\ for',
  ],
  ['two anchors', 'a: &x &y 1\n', '1:7: a value has two anchors (&name); keep one of them'],
  [
    'no such anchor',
    'a: 1\nb: *x\n',
    '2:1: the anchor &x does not stand above *x; write it there, or put the value in quotes',
  ],
  [
    'a merge of a text',
    'a: 1\n<<: text\n',
    '2:1: << takes over the keys of other lines; give it an alias (*name) of them',
  ],
  ['a key twice', 'a: 1\na: 2\n', '2:1: a: is given twice, in lines 1 and 2; remove one'],
  ['a tag', 'a: !secret x\n', '1:4: the tag !secret is not known here; remove it, or put'],
];

test.each(SLIPS)('%s', (_, text, words) => {
  const message = said(text);
  expect(message).toContain(`m.yaml:${words}`);
  expect(message).not.toMatch(JARGON);
  expect(message).not.toContain('\n');
});

test('a long value is cut', () => {
  expect(said(`a: x: ${'y'.repeat(100)}\n`).length).toBeLessThan(150);
});

test('valid YAML is accepted: a bracket that closes where its key begins, an anchor used again', () => {
  expect(said('command: [\n  a,\n]\n')).toBe('{"command":["a"]}');
  expect(said('a: &x 1\nb: &x 2\nc: *x\n')).toBe('{"a":1,"b":2,"c":2}');
});

test('the configuration has the same messages', () => {
  const read = (): unknown => parseConfig('server:\n  port:9000\n  host: localhost\n');
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(
    'config.yaml: line 2: a space is missing behind the colon; write port: 9000',
  );
});
