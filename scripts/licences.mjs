import { existsSync, readFileSync } from 'node:fs';

// Fails when a package that is published, in the bundle or beside it, has a licence that is not on
// this list. The list has licences that need no more than their text, which the bundle carries.
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Python-2.0',
  'Unlicense',
]);

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Of an expression such as `(MIT OR Apache-2.0)` one of the licences is enough; of `AND` each is needed. */
const isAllowed = (expression) =>
  expression
    .replaceAll(/[()]/g, '')
    .split(/ OR /i)
    .some((one) => one.split(/ AND /i).every((name) => ALLOWED.has(name.trim())));

const licenceOf = ({ license, licenses }) =>
  (typeof license === 'object' ? license?.type : license) ??
  [licenses ?? []]
    .flat()
    .map(({ type }) => type)
    .join(' OR ');

const { packages } = json('package-lock.json');
const bundled = existsSync('build/bin.cjs.packages.json')
  ? json('build/bin.cjs.packages.json')
  : [];
const published = Object.entries(packages)
  .filter(([path, one]) => path.startsWith('node_modules/') && !one.dev && !one.link)
  .map(([path]) => path);
const all = [...new Set([...published, ...bundled])].filter((path) =>
  existsSync(`${path}/package.json`),
);
const wrong = all
  .map((path) => [path.replace(/^.*node_modules\//, ''), licenceOf(json(`${path}/package.json`))])
  .filter(([, licence]) => !isAllowed(licence));

for (const [name, licence] of wrong) {
  console.error(
    `${name}: licence ${licence || 'unknown'} is not allowed; replace the package, or add the licence to scripts/licences.mjs`,
  );
}
if (all.length === 0) console.error('no package was looked at; run npm ci first');
console.log(`licences: ${all.length - wrong.length} of ${all.length} packages allowed`);
process.exitCode = wrong.length === 0 && all.length > 0 ? 0 : 1;
