import type { YAMLError } from 'yaml';

// The parser speaks of flow maps and implicit keys. These messages describe the author's line: the
// fault, and its correction.

/** A sentence, and its place when that is not where the parser stopped. */
export interface YamlWords {
  readonly words: string;
  readonly offset?: number;
}

interface Spot {
  readonly text: string;
  /** Where the parser stopped. */
  readonly offset: number;
  /** The line of that place, without indentation. */
  readonly line: string;
  /** From there to the end of the line. */
  readonly rest: string;
}

/** Longer values are cut in messages. */
const MAX_SHOWN_CHARACTERS = 40;

const short = (text: string): string =>
  text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS - 1)}…`;

const quoted = (value: string): string => JSON.stringify(short(value.trim()));

function spotOf(text: string, offset: number): Spot {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const stop = text.indexOf('\n', offset);
  const end = stop < 0 ? text.length : stop;
  return { text, offset, line: text.slice(start, end).trim(), rest: text.slice(offset, end) };
}

/** A line that should be `key: value` and is not. */
function keyWords({ line }: Spot): YamlWords {
  const [, key = '', colon = '', value = ''] =
    /^(?:- +)?([\w.-]+)(:|：)[\u00a0\u3000]*(\S.*)$/u.exec(line) ?? [];
  if (colon === '：') {
    return { words: `${key} is followed by the wide colon ：; write ${key}: ${short(value)}` };
  }
  if (colon === ':') {
    return { words: `a space is missing behind the colon; write ${key}: ${short(value)}` };
  }
  const words = `${quoted(line)} is not a key with a value; write key: value, or put a text of several lines in quotes`;
  return { words };
}

/** A value that holds `: `, or a line below a value that is indented as if it belonged to it. */
function nestedWords({ text, offset, rest }: Spot): YamlWords {
  if (/:(?:\s|$)/.test(rest)) {
    const words = `the value holds a colon, which begins another key; put it in quotes: ${quoted(rest)}`;
    return { words };
  }
  const next = /\n[^\S\n]*(?=\S)/g;
  next.lastIndex = offset;
  const below = next.exec(text);
  return {
    words:
      'this line is indented below a key that has a value already; indent it as far as that key',
    ...(below !== null && { offset: below.index + below[0].length }),
  };
}

/** The bracket or quote that is not closed: the last one of its kind before the place. */
const opener = ({ text, offset }: Spot, sign: string): { readonly offset?: number } => {
  const at = text.lastIndexOf(sign, offset - 1);
  return at < 0 ? {} : { offset: at };
};

const unclosed =
  (open: string, add: string) =>
  (spot: Spot): YamlWords => ({
    words: `the ${open} that opens here is not closed; ${add}`,
    ...opener(spot, open),
  });

const said = (words: string) => (): YamlWords => ({ words });

/** Name of an alias, an anchor or a tag. */
const nameAt = (rest: string): string => short(/^[*&!]*([^\s,\]}]*)/.exec(rest)?.[1] ?? '');

const unquoted = ({ rest }: Spot): YamlWords => ({
  words: `a value cannot begin with ${rest.charAt(0)}; put it in quotes: ${quoted(rest)}`,
});

type Row = readonly [
  code: YAMLError['code'] | undefined,
  message: RegExp,
  words: (spot: Spot) => YamlWords,
];

const COMMA = said('the entries of [ ] and { } are separated by commas; add or remove one');
const INDENT = said(
  'the line is indented differently from the lines beside it; indent the keys of one level, and the dashes of one list, equally far, with spaces',
);

/** The first row that fits. */
const TABLE: readonly Row[] = [
  [
    'MULTIPLE_DOCS',
    /^/,
    said('a second YAML document begins here; put each definition in a file of its own'),
  ],
  ['TAB_AS_INDENT', /^/, said('the line is indented with a tab; indent it with spaces')],
  ['MULTILINE_IMPLICIT_KEY', /^/, keyWords],
  ['MISSING_CHAR', /map keys need/, keyWords],
  ['BLOCK_AS_IMPLICIT_KEY', /mappings/, nestedWords],
  ['BAD_INDENT', /end with a \]/, unclosed('[', 'add ], or put the whole value in quotes')],
  ['BAD_INDENT', /end with a \}/, unclosed('{', 'add }, or put the whole value in quotes')],
  ['BAD_INDENT', /^/, INDENT],
  ['MISSING_CHAR', /without - indicator/, INDENT],
  ['MISSING_CHAR', /closing "quote/, unclosed('"', 'add " at the end of the value')],
  ['MISSING_CHAR', /closing 'quote/, unclosed("'", "add ' at the end of the value")],
  [
    'MISSING_CHAR',
    /^Comments must/,
    said('a space is missing before #; add it, or put the value in quotes'),
  ],
  ['MISSING_CHAR', /^Missing , |^Missing space after :/, COMMA],
  ['BLOCK_IN_FLOW', /^/, COMMA],
  ['UNEXPECTED_TOKEN', /^Unexpected ,|empty item/, COMMA],
  [
    'UNEXPECTED_TOKEN',
    /at node end/,
    said('text follows the end of the value; remove it, or put the whole value in quotes'),
  ],
  [
    'UNEXPECTED_TOKEN',
    /on same line with key/,
    said('a list begins on the line below its key; move the dash there'),
  ],
  [
    'UNEXPECTED_TOKEN',
    /flow-(?:seq|map)-end/,
    said('a closing bracket has none that opens it; remove it, or put the value in quotes'),
  ],
  [
    'UNEXPECTED_TOKEN',
    /scalar header/,
    said('no text may follow | or > on its line; begin the text on the next line'),
  ],
  ['BAD_SCALAR_START', /^/, unquoted],
  ['BAD_ALIAS', /empty/, unquoted],
  [
    'BAD_DQ_ESCAPE',
    /^/,
    said(
      'a backslash in double quotes begins an escape; write \\\\ for a backslash, or use single quotes',
    ),
  ],
  ['MULTIPLE_ANCHORS', /^/, said('a value has two anchors (&name); keep one of them')],
  [
    'TAG_RESOLVE_FAILED',
    /^/,
    ({ rest }) => ({
      words: `the tag !${nameAt(rest)} is not known here; remove it, or put the value in quotes`,
    }),
  ],
  [
    undefined,
    /^Unresolved alias/,
    ({ rest }) => ({
      words: `the anchor &${nameAt(rest)} does not stand above *${nameAt(rest)}; write it there, or put the value in quotes`,
    }),
  ],
  [
    undefined,
    /^Merge sources/,
    said('<< takes over the keys of other lines; give it an alias (*name) of them'),
  ],
  [undefined, /^Excessive alias/, said('aliases repeat too much; write the values out')],
];

/** Describes the fault of a text to its author. @param error without a code: about its values */
export function yamlWords(
  text: string,
  error: { readonly message: string; readonly code?: YAMLError['code'] },
  offset: number,
): YamlWords {
  const row = TABLE.find(([code, message]) => code === error.code && message.test(error.message));
  return row?.[2](spotOf(text, offset)) ?? { words: `${error.message}; correct it` };
}
