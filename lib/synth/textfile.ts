import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { DefinitionError, formatFault } from '../spec';
import { fileFault } from './errors';

// Text files that people write. An unchecked decoder turns bytes that are not UTF-8 into U+FFFD.

const UTF_16 = [
  [0xff, 0xfe],
  [0xfe, 0xff],
];
const NEWLINE = 0x0a;

/** Whether it is UTF-16: it begins with the mark, or every second byte is zero. */
function isUtf16(bytes: Buffer): boolean {
  if (UTF_16.some(([one, two]) => bytes[0] === one && bytes[1] === two)) return true;
  return bytes.length > 1 && (bytes[0] === 0) !== (bytes[1] === 0);
}

interface Guess {
  readonly name: string;
  /** Name of the encoding for iconv. */
  readonly encoding: string;
}

/** The probable encoding: Chinese editors write GBK, others Windows-1252. */
function guessOf(line: Buffer): Guess {
  try {
    new TextDecoder('gbk', { fatal: true }).decode(line);
    return { name: 'GBK', encoding: 'GBK' };
  } catch {
    return { name: 'Windows-1252', encoding: 'WINDOWS-1252' };
  }
}

function unreadable(file: string, line: number, what: string, { name, encoding }: Guess): never {
  const convert = `iconv -f ${encoding} -t UTF-8 ${file} > ${file}.utf8 && mv ${file}.utf8 ${file}`;
  const message = `${what} (perhaps ${name}); save it as UTF-8, for example: ${convert}`;
  const broken = { ...fileFault(message), file, line };
  throw Object.assign(new DefinitionError([broken], file), {
    message: formatFault(broken, `${file}:${line}`),
  });
}

/**
 * Checks that a file is text in UTF-8.
 * @throws DefinitionError with the line and the probable encoding
 */
export function checkedText(bytes: Buffer, file: string): string {
  if (isUtf16(bytes)) {
    unreadable(file, 1, 'is not UTF-8', { name: 'UTF-16', encoding: 'UTF-16' });
  }
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let from = 0;
  let line = 1;
  for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
    if (!isUtf8(bytes.subarray(from, to))) break;
    from = to + 1;
    line += 1;
  }
  const end = bytes.indexOf(NEWLINE, from);
  const own = bytes.subarray(from, end < 0 ? bytes.length : end);
  return unreadable(file, line, `line ${line} is not UTF-8`, guessOf(own));
}

/** @throws DefinitionError */
export const readTextFile = (file: string): string => checkedText(readFileSync(file), file);
