import { createLog } from '../../runtime/app/log';

/** What a log of text writes, without the time. */
function written(message: string, fields?: Readonly<Record<string, unknown>>): string {
  const lines: string[] = [];
  const spy = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  createLog({ level: 'info', format: 'text' }).warn(message, fields);
  spy.mockRestore();
  return lines.join('').replace(/^[0-9:]{8} /, '');
}

test.each([
  ['two\nlines', 'warn  two\n  lines\n'],
  ['a\n12:00:01 info  forged', 'warn  a\n  12:00:01 info  forged\n'],
  ['\u001b[2J\r\u009b1A\u2028', 'warn  \\u001b[2J\\u000d\\u009b1A\\u2028\n'],
])('a message %j can forge no line and control no terminal', (message, expected) => {
  expect(written(message)).toBe(expected);
});

test('a field can control no terminal', () => {
  expect(written('a', { b: '\u009b1A' })).toBe('warn  a {"b":"\\u009b1A"}\n');
});
