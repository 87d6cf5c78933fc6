import { createSecretKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../cli/program';
import { ENTRY, openAudit } from '../audit/support';

const KEY = '0123456789abcdef0123456789abcdef';
const folder = mkdtempSync(join(tmpdir(), 'cli-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(async () => {
  rmSync(join(folder, 'audit.jsonl'), { force: true });
  writeFileSync(join(folder, 'chain.key'), `${KEY}\n`);
  const audit = openAudit({
    file: join(folder, 'audit.jsonl'),
    chainKey: createSecretKey(KEY, 'latin1'),
    instance: 'pod-a',
  });
  for (const requestId of ['r-1', 'r-2', 'r-3']) audit.record({ ...ENTRY, requestId });
  await audit.close();
});

async function run(...args: readonly string[]) {
  let [out, err] = ['', ''];
  const code = await runCommand(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
    cwd: folder,
    terminal: false,
    now: () => new Date(0),
  });
  return { code, out: out.replaceAll(`${folder}/`, ''), err };
}

const verify = (...more: readonly string[]) =>
  run('audit', 'verify', 'audit.jsonl', '--key-file', 'chain.key', ...more);

test('verify prints where the chain begins and ends', async () => {
  const { code, out } = await verify();
  expect(code).toBe(0);
  expect(out).toMatch(
    /^chain of pod-a: number 1 \(audit\.jsonl:1\) to 4 \(audit\.jsonl:4\), MAC [0-9a-f]{64}\n4 lines in 1 file: all fit the key\n$/,
  );
  const report = JSON.parse((await verify('--output', 'json')).out) as { lines: number };
  expect(report.lines).toBe(4);
});

test('verify names each fault by its line, and ends with 1', async () => {
  const file = join(folder, 'audit.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('r-2', 'r-9'));
  const { code, out } = await verify();
  expect(code).toBe(1);
  expect(out).toContain('audit.jsonl:3: was changed, or the line before it was\n');
  expect(out).toMatch(/4 lines in 1 file: 1 fault\n$/);
});

test('verify finds lines cut off at the end by --head', async () => {
  const file = join(folder, 'audit.jsonl');
  const text = readFileSync(file, 'utf8');
  const head = /"mac":"(\w+)"\}\n$/.exec(text)?.[1] ?? '';
  expect((await verify('--head', head)).code).toBe(0);
  writeFileSync(file, text.split('\n').slice(0, 3).join('\n') + '\n');
  const { code, out } = await verify('--head', head.slice(0, 12));
  expect(code).toBe(1);
  expect(out).toContain(`no line has the MAC ${head.slice(0, 12)}`);
  expect(await verify('--head', 'abc')).toMatchObject({
    code: 2,
    err: '--head: got abc, must be 12 to 64 hex digits of a MAC; take it from the log\n',
  });
});

test('verify requires each --head, and allows what --from and --new-chain name', async () => {
  const file = join(folder, 'audit.jsonl');
  const macs = [...readFileSync(file, 'utf8').matchAll(/"mac":"(\w{64})"/g)].map(([, mac]) => mac);
  const [first = '', last = ''] = [macs[0], macs.at(-1)];
  expect((await verify('--head', first, '--head', last)).code).toBe(0);
  const other = 'ab'.repeat(32);
  const { code, out } = await verify('--head', other, '--head', last);
  expect([code, out]).toEqual([1, expect.stringContaining(`no line has the MAC ${other}`)]);
  const allowed = await verify('--from', '57', '--new-chain', first.slice(0, 12));
  expect(allowed.code).toBe(0);
  expect((await verify('--new-chain', 'abc')).code).toBe(2);
  expect((await verify('--from', '0')).code).toBe(2);
});

test('verify sends no control characters of a name to the terminal', async () => {
  const file = join(folder, 'hostile.jsonl');
  const audit = openAudit({
    file,
    chainKey: createSecretKey(KEY, 'latin1'),
    instance: 'pod\u001b[2J\u009b',
  });
  await audit.close();
  const { out } = await run('audit', 'verify', 'hostile.jsonl', '--key-file', 'chain.key');
  expect(out).toMatch(/^chain of pod\?\[2J\?: number 1 /);
});

test('verify reports an incomplete last line', async () => {
  const file = join(folder, 'audit.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, -5));
  const { code, out } = await verify();
  expect(code).toBe(0);
  expect(out).toMatch(/to 3 \(audit\.jsonl:3\).*\nthe last \d+ bytes are a line that was not/);
});

test('tail shows the last lines for people, or unchanged', async () => {
  const tail = (...more: readonly string[]) =>
    run('audit', 'tail', 'audit.jsonl', '--no-follow', '--lines', '1', ...more);
  expect((await tail()).out).toBe(
    '2026-01-02T03:04:05.000Z  202  deploy  iris  clinic  revision=3 request_id=r-3\n',
  );
  expect((await tail('--caller', 'somebody')).out).toBe('');
  expect(JSON.parse((await tail('--output', 'json')).out)).toMatchObject({ request_id: 'r-3' });
});

test.each([
  [['audit', 'tail', 'missing.jsonl'], 'missing.jsonl: no such file; name the file of audit.file'],
  [['audit', 'verify', 'audit.jsonl'], "required option '--key-file <file>' not specified"],
])('%j is refused with a message', async (args, message) => {
  const { code, err } = await run(...args);
  expect(code).not.toBe(0);
  expect(err).toContain(message);
});
