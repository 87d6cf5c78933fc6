import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { dependencyOf, PACKAGE, packageSourceOf } from '../../cli/package-source';
import { VERSION } from '../../cli/version';

// `init` writes a dependency that `npm install` finds, whichever way the program was installed.

const TARBALL = `suoke-ai-model-service-${VERSION}.tgz`;

let folder: string;

function put(path: string, content = ''): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** A project that has the package installed, as npm leaves it behind. */
function installed(resolved?: string): string {
  put(`node_modules/${PACKAGE}/package.json`, '{}');
  const entry = { version: VERSION, ...(resolved !== undefined && { resolved }) };
  const packages = { [`node_modules/${PACKAGE}`]: entry };
  put('node_modules/.package-lock.json', JSON.stringify({ packages }));
  return join(folder, 'node_modules', PACKAGE);
}

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'package-source-')));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a packed file that the package was installed from is copied into the project', () => {
  const file = put(`downloads/${TARBALL}`);
  const source = packageSourceOf(installed(`file:downloads/${TARBALL}`));
  expect(source).toEqual({ kind: 'tarball', file });
  expect(dependencyOf(source, join(folder, 'p'))).toBe(`file:vendor/${TARBALL}`);
});

test.each([
  ['without a recorded address', undefined],
  ['with an address of a registry', `https://registry.example/${TARBALL}`],
  ['from a packed file that is gone', `file:gone/${TARBALL}`],
])('for a package of a registry %s, the version range is written', (_, resolved) => {
  const source = packageSourceOf(installed(resolved));
  expect(dependencyOf(source, folder)).toBe(`^${VERSION}`);
});

test('a packed checkout gives its file', () => {
  put('checkout/scripts/dev.sh');
  const file = put(`checkout/${TARBALL}`);
  expect(packageSourceOf(join(folder, 'checkout'))).toEqual({ kind: 'tarball', file });
});

test('an unpacked checkout is referred to by the file that packing makes', () => {
  put('checkout/scripts/dev.sh');
  const source = packageSourceOf(join(folder, 'checkout'));
  expect(source.kind).toBe('unpacked');
  expect(dependencyOf(source, join(folder, 'new', 'p'))).toBe(`file:../../checkout/${TARBALL}`);
});

test('a program without npm and checkout, such as the image, gives the version range', () => {
  put('app/build/bin.cjs');
  expect(packageSourceOf(join(folder, 'app')).kind).toBe('registry');
});
