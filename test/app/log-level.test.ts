import fs from 'node:fs';
import { createSecretKey } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../runtime/app/config';
import { createLog } from '../../runtime/app/log';
import { openAudit } from '../../runtime/app/open-audit';

let written = '';
beforeEach(() => {
  written = '';
  const take = (text: unknown): void => void (written += String(text));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    take(text);
    return true;
  });
  jest.spyOn(fs, 'writeSync').mockImplementation((_fd: number, text: unknown) => {
    take(text);
    return String(text).length;
  });
});
afterEach(() => jest.restoreAllMocks());

test.each(['text', 'json'] as const)(
  'changes of the level, and lines that nothing may hide, are logged at every level (%s)',
  (format) => {
    const log = createLog({ level: 'silent', format });
    log.error('hidden-1');
    log.always.info('shown-1');
    log.level.set('debug');
    log.debug('shown-2');
    log.level.set('silent');
    log.error('hidden-2');
    log.always.info('shown-3', { n: 5 });
    log.level.set('silent');
    const told = 'the log level was changed|hidden-\\d|shown-\\d';
    expect(written.match(new RegExp(told, 'g'))).toEqual([
      'shown-1',
      'the log level was changed',
      'shown-2',
      'the log level was changed',
      'shown-3',
    ]);
    expect(written).toContain('"before":"debug","level":"silent"');
  },
);

test('a silent log has the head of the audit chain', async () => {
  const cwd = fs.mkdtempSync(join(tmpdir(), 'silent-log-'));
  const log = createLog({ level: 'silent', format: 'text' });
  const config = parseConfig('audit: { file: audit.jsonl }');
  const key = createSecretKey('0123456789abcdef0123456789abcdef', 'latin1');
  await openAudit({ config, cwd, log }, key).close();
  fs.rmSync(cwd, { recursive: true });
  expect(written).toContain('audit: the chain is at {"n":1,"mac":"');
});
