import { Yaml } from 'cdk8s';
import * as fc from 'fast-check';
import { isScalar, parseAllDocuments, parseDocument, visit } from 'yaml';
import { objectsOf } from '../../lib/objects';
import { yamlOf } from '../../lib/objects/yaml';
import { parseEnvironment, parseModel } from '../../lib/spec';
import { awkwardText, SPECIAL_CHARACTERS, SPECIAL_WORDS } from '../support/texts';
import { rounds } from '../support/rounds';

// What Kubernetes' reader (go-yaml v2 behind sigs.k8s.io/yaml) and PyYAML refuse or read otherwise,
// written down from their sources, so that no Go and no Python is needed here.
// test/e2e/readers.e2e.ts asks the readers themselves.

// Hundreds of documents by each of them: seconds, where other work has the processors.
jest.setTimeout(60_000);

/** go-yaml readerc.go; PyYAML reader.py; both take NEL, LS and PS for line breaks. */
const REFUSED =
  /[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]/u;

/** PyYAML resolver.py, its regular expressions as they stand there. */
const PYYAML: readonly RegExp[] = [
  /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
  /^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
  /^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
  /^(?:<<|=)$/,
  /^(?:~|null|Null|NULL|)$/,
  /^(?:\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)$/,
];

/** go-yaml resolve.go: its table, then Go's number parsers on the text without `_`, then its dates. */
function readsInGo(text: string): boolean {
  if (/^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|on|On|ON)$/.test(text)) return true;
  if (/^(?:false|False|FALSE|off|Off|OFF|~|null|Null|NULL||<<)$/.test(text)) return true;
  if (/^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/.test(text)) return true;
  const bare = text.replaceAll('_', '');
  const int = /^[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[0-9]+)$/;
  const float = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
  const date =
    /^\d{4}-\d\d?-\d\d?(?:[Tt]\d\d?:\d\d?:\d\d?(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)| \d\d?:\d\d?:\d\d?(?:\.\d+)?)?$/;
  return int.test(bare) || float.test(bare) || /^-?0b[-+]?[01]+$/.test(bare) || date.test(text);
}

/** Plain texts that stay texts in one reader only, and blocks that begin with a tab. */
function misread(text: string): readonly string[] {
  const found = REFUSED.test(text) ? [`the character ${REFUSED.exec(text)?.[0]}`] : [];
  for (const document of parseAllDocuments(text, { version: '1.1' })) {
    visit(document, {
      Scalar: (_, { type, value, source = '' }) => {
        const block = type === 'BLOCK_LITERAL' && /^[\n ]*\t/.test(String(value));
        if (block) found.push('a block that begins with a tab');
        // `<<` as a key is a symbol here.
        if (type !== 'PLAIN' || !['string', 'symbol'].includes(typeof value)) return;
        if (readsInGo(source) || PYYAML.some((one) => one.test(source))) found.push(source);
        if (source.includes('\t')) found.push(`a tab in ${source}`);
      },
    });
  }
  return found;
}

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    awkwardText,
    fc.oneof(
      awkwardText,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(awkwardText, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const document = fc.dictionary(awkwardText, value, { maxKeys: 5, noNullPrototype: true });
const wellFormed = (given: unknown): boolean =>
  !/\\ud[89a-f]/i.test(JSON.stringify(given)) && !JSON.stringify(given).includes('__proto__');

const read = (text: string, version: '1.1' | '1.2'): unknown =>
  parseAllDocuments(text, { version }).map((one) => {
    if (one.errors[0] !== undefined) throw one.errors[0];
    return one.toJS() as unknown;
  });

test('every reader reads every document as it was written', () => {
  fc.assert(
    fc.property(fc.array(document.filter(wellFormed), { minLength: 1, maxLength: 2 }), (docs) => {
      const text = yamlOf(docs);
      expect(misread(text)).toEqual([]);
      const same = JSON.parse(JSON.stringify(docs)) as unknown;
      expect(read(text, '1.1')).toEqual(same);
      expect(read(text, '1.2')).toEqual(same);
    }),
    { numRuns: rounds(100) },
  );
});

test('output equals that of cdk8s wherever all readers read it', () => {
  let equal = 0;
  fc.assert(
    fc.property(document.filter(wellFormed), (one) => {
      const theirs = Yaml.stringify(one);
      // Escapes of several lines, and numbers that PyYAML takes for texts, are written otherwise.
      const folded = /"[^"\n]*\n/.test(theirs) || /\d+e[-+]\d/.test(theirs);
      if (folded || misread(theirs).length > 0 || theirs.includes('\\')) return;
      equal += 1;
      expect(yamlOf([one])).toBe(theirs);
    }),
    { numRuns: rounds(100) },
  );
  // About a quarter, by chance.
  expect(equal).toBeGreaterThan(rounds(100) / 20);
});

test.each(SPECIAL_WORDS)('the word %j is a text as a value, as a key and in a list', (word) => {
  const text = yamlOf([{ [word]: word, list: [word] }]);
  expect(misread(text)).toEqual([]);
  expect(read(text, '1.1')).toEqual([{ [word]: word, list: [word] }]);
});

// Every place of a definition where an author may write any text, in both kinds of objects that
// hold it: as a value of its own, and inside the stored JSON.
const PLACES: readonly (readonly [string, (text: string) => object])[] = [
  ['name', (text) => ({ name: `a${text}` })],
  ['env', (text) => ({ env: { TEXT: text } })],
  ['annotations', (text) => ({ annotations: { 'example.com/text': text } })],
  ['args', (text) => ({ args: [text, `a ${text}`] })],
  ['command', (text) => ({ command: [text] })],
  ['capabilities', (text) => ({ capabilities: [`a${text}`] })],
  ['serviceAccountAnnotations', (text) => ({ serviceAccountAnnotations: { 'a.b/c': text } })],
  ['overrides', (text) => ({ overrides: { ConfigMap: { data: { [`a${text}`]: text } } } })],
];

test.each(PLACES)('any text in %s comes back from the manifest as it was written', (_, more) => {
  const environment = parseEnvironment({ monitoring: { style: 'operator' } });
  const check = (text: string): void => {
    const base = { id: 'a', version: '1', framework: 'sklearn', source: 's3://m/x' };
    const objects = objectsOf(parseModel({ ...base, ...more(text) }), environment);
    const yaml = yamlOf(objects);
    expect(misread(yaml)).toEqual([]);
    expect(read(yaml, '1.1')).toEqual(objects);
  };
  ['0o22', '=', '<<', '\tone\ntwo\n', 'Triage\u2028v2', 'a\u0085b', 'a\u007fb'].forEach(check);
  const all = SPECIAL_CHARACTERS.filter((one) => !/[a-z0-9]/i.test(one));
  for (let start = 0; start < all.length; start += 25) {
    check(all.slice(start, start + 25).join(''));
  }
  const short = awkwardText.filter((text) => text.length < 60 && wellFormed(text));
  fc.assert(fc.property(short, check), { numRuns: rounds(4) });
});

test('a document of many lines, such as a stored definition, keeps its lines', () => {
  const definition = JSON.stringify({ a: [1, { b: '症状: \n x ' }], c: '# d' }, null, 2);
  const docs = [{ data: { 'definition.json': definition, other: `${definition}\n\n` } }];
  expect(yamlOf(docs)).toBe(Yaml.stringify(...docs));
});

test('the rules of this test find the texts that cdk8s writes unreadably', () => {
  const wrong = ['0o22', '=', '<<', '0X1f', 'a\u2028b', 'a\u0085b', 'a\u007fb', '\tone\ntwo\n'];
  for (const text of wrong) expect(misread(Yaml.stringify({ text }))).not.toEqual([]);
  const plain = parseDocument('a: b', { version: '1.1' }).get('a', true);
  expect(isScalar(plain) && plain.type).toBe('PLAIN');
});
