import { ChunkedDecoder } from '../../../runtime/data/http/buffers/chunked';
import { HttpFault } from '../../../runtime/data/http/fields';
import { rounds } from '../../support/rounds';

// The lines of a chunked body against the grammar of RFC 9112, 7.1, and RFC 9110, 5.6.2 and 5.6.4,
// with the narrower rules that are ours: 13 digits, no blanks around extensions, 256 bytes a line.

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const QUOTED = '"[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]*"';
const CHUNK_EXT = `(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*`;
const SIZE_LINE = new RegExp(`^([0-9A-Fa-f]{1,13})${CHUNK_EXT}\\r\\n$`);
const MAX_LINE = 256;

/** The size that a line says; undefined: it is no size line. */
function sizeByGrammar(line: string): number | undefined {
  const digits = line.length > MAX_LINE ? undefined : SIZE_LINE.exec(line)?.[1];
  return digits === undefined ? undefined : parseInt(digits, 16);
}

/** What a decoder makes of bytes that come in these parts: pieces in one, or that it refuses. */
function decoded(parts: readonly Buffer[]): string {
  const decoder = new ChunkedDecoder();
  let body = '';
  let taken = 0;
  try {
    for (const part of parts) {
      taken += decoder.write(part, (piece) => {
        body += piece.toString('latin1');
      });
    }
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
    return 'refused';
  }
  return `${decoder.isDone ? 'done' : 'more'} ${taken} ${body}`;
}

/** As it comes in one read, cut in two at every place, and byte by byte. */
function everyWay(text: string): readonly (readonly Buffer[])[] {
  const bytes = Buffer.from(text, 'latin1');
  const cuts = Array.from(bytes, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)]);
  return [[bytes], ...cuts, Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))];
}

/** The same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const HOSTILE: readonly string[] = [
  ['', ' ', '-', '+', '0x', '\t', '\0', '"', ';'].flatMap((one) => [`${one}1`, `1${one}`, one]),
  ['1\r', '1\n', '\r1', '\n1', '1\r\r', '\xb1', '1\xb1', '\xff', 'g', '1g', 'G', '@', '`', ':'],
  ['a', 'F', 'aF', '0a', '00', '0', '0000000000001', '00000000000001', '0000000000000'],
  ['1;a', '1;a=b', '1;a="b"', '1;a="b', '1;a="\\"', '1;', '1;=b', '1; a', '1 ;a', '1;a=', '1;;a'],
  [`1;${'a'.repeat(252)}`, `1;${'a'.repeat(253)}`, `1;${'a'.repeat(300)}`, '1;a=\x80'],
].flat();
const ENDS = ['\r\n', '\n', '\r', '\r\r\n', ''];

function randomLine(below: (limit: number) => number): string {
  const letters = '0123456789abcdefABCDEF00001111;="a \r\n\tgG/:@`\0\x80\xff';
  let line = '';
  for (let left = below(17); left >= 0; left -= 1) line += letters[below(letters.length)] ?? '';
  return line + (ENDS[below(6)] ?? '\r\n');
}

/** What the grammar says of a body that begins with a line: a chunk, the last one, or no body. */
function bodyByGrammar(line: string): { readonly text: string; readonly expected: string } {
  const size = sizeByGrammar(line);
  const small = size !== undefined && size < 4096 ? size : 0;
  const text = small > 0 ? `${line}${'x'.repeat(small)}\r\n0\r\n\r\n` : `${line}\r\n`;
  if (size === undefined) return { text, expected: 'refused' };
  if (size === 0) return { text, expected: `done ${text.length} ` };
  if (small > 0) return { text, expected: `done ${text.length} ${'x'.repeat(size)}` };
  return { text, expected: `more ${text.length} \r\n` };
}

/** Is there one line? What lies behind its first LF would be another. */
const isOneLine = (line: string): boolean => line.indexOf('\n') === line.length - 1;

test('a size line is accepted or refused by the grammar, however it is split', () => {
  const lines = HOSTILE.flatMap((line) => ENDS.map((end) => line + end)).filter(isOneLine);
  expect(lines.length).toBeGreaterThan(100);
  for (const line of lines) {
    const { text, expected } = bodyByGrammar(line);
    const wrong = everyWay(text)
      .map(decoded)
      .filter((one) => one !== expected);
    expect([line, wrong]).toEqual([line, []]);
  }
});

const ROUNDS = rounds(15_000);

test('random size lines are accepted or refused by the grammar', () => {
  const below = numbers(9112);
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const line = randomLine(below);
    if (!isOneLine(line)) continue;
    const { text, expected } = bodyByGrammar(line);
    if (expected !== 'refused') accepted += 1;
    const cut = below(text.length);
    const bytes = Buffer.from(text, 'latin1');
    const cutInTwo = [bytes.subarray(0, cut), bytes.subarray(cut)];
    if (decoded([bytes]) !== expected || decoded(cutInTwo) !== expected) {
      expect([line, cut, decoded([bytes]), decoded(cutInTwo)]).toEqual([
        line,
        cut,
        expected,
        expected,
      ]);
    }
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 120);
});

test('each byte value is a digit, ends the digits, or invalidates the line, by the grammar', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    if (byte === 0x0a) continue;
    const letter = String.fromCharCode(byte);
    for (const line of [`${letter}\r\n`, `1${letter}\r\n`, `${letter}1\r\n`]) {
      const { text, expected } = bodyByGrammar(line);
      expect([line, decoded([Buffer.from(text, 'latin1')])]).toEqual([line, expected]);
    }
  }
});

test('a chunk ends with CR LF and nothing else, however it is split', () => {
  for (const end of ['\r\n', '\n', '\r', '', '\rx\n', 'x\r\n', ' \r\n', '\r\r\n']) {
    const text = `1\r\nx${end}0\r\n\r\n`;
    const expected = end === '\r\n' ? `done ${text.length} x` : 'refused';
    for (const parts of everyWay(text)) expect([end, decoded(parts)]).toEqual([end, expected]);
  }
});
