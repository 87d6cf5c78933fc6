import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerCertificate } from '../../runtime/shared/server-certificate';
import { openServerCertificate } from '../../runtime/shared/server-certificate';
import { createAuthority } from '../support/certificates';
import { until } from '../support/plane';

const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
afterAll(() => rmSync(folder, { recursive: true }));

const authority = createAuthority();
const [first, second] = [authority.issue('first'), authority.issue('second')];
const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
const put = (name: 'cert' | 'key', text: string): void => writeFileSync(files[name], text);

let now = Date.UTC(2026, 0, 1);
let opened: ServerCertificate;
let failed: string[];
let seen: string[];
beforeEach(() => {
  put('cert', first.cert);
  put('key', first.key);
  now = Date.UTC(2026, 0, 1);
  [failed, seen] = [[], []];
  opened = openServerCertificate({
    ...files,
    now: () => now,
    log: {
      info: () => undefined,
      error: (_, fields) => void failed.push(String(fields?.['error'])),
    },
    watch: { lookEveryMs: 5, quietMs: 5 },
  });
  opened.onChange(({ cert }) => void seen.push(cert.toString()));
});
afterEach(() => opened.close());

test('reads a pair again that was replaced, once', async () => {
  put('cert', second.cert);
  put('key', second.key);
  await until(() => seen.length > 0, 'the new pair');
  opened.reload();
  expect(seen).toEqual([second.cert]);
  expect(opened.pair().key.toString()).toBe(second.key);
  expect(opened.notAfter()).toBe(Date.UTC(2120, 0, 1));
  expect(opened.fault()).toBeUndefined();
});

test.each<readonly [string, () => void, RegExp]>([
  ['a key of another certificate', () => put('key', second.key), /is not the key of the cert/],
  ['text that is not a certificate', () => put('cert', 'nothing'), /./],
  ['a file that is gone', () => renameSync(files.key, `${files.key}.away`), /ENOENT/],
])('%s keeps the last good pair, and is told once', (_, spoil, message) => {
  spoil();
  opened.reload();
  opened.reload();
  expect(failed).toEqual([expect.stringMatching(message)]);
  expect(opened.fault()).toMatch(message);
  expect([seen, opened.pair().cert.toString()]).toEqual([[], first.cert]);
  put('cert', second.cert);
  put('key', second.key);
  opened.reload();
  expect([opened.fault(), seen]).toEqual([undefined, [second.cert]]);
});

test('a certificate that has ended does not replace another', () => {
  now = Date.UTC(2120, 0, 1);
  put('cert', second.cert);
  put('key', second.key);
  opened.reload();
  expect(opened.fault()).toMatch(/has ended$/);
  expect(seen).toEqual([]);
});

test('a first pair that cannot be used is refused', () => {
  put('key', second.key);
  expect(() =>
    openServerCertificate({
      ...files,
      now: () => now,
      log: { info: () => undefined, error: () => undefined },
    }),
  ).toThrow(/is not the key of the certificate/);
});
