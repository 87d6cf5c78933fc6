import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEnvironments } from '../../lib/synth';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'environments-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const load = (text: string, name = 'environments.ts') => {
  writeFileSync(join(folder, name), text);
  return loadEnvironments(folder);
};

test('one environment may be an object or a list of one', async () => {
  const one = '{ name: "prod", quota: { gpu: 2 } }';
  expect((await load(`export default ${one};`)).all).toMatchObject([
    { name: 'prod', quota: { gpu: 2 } },
  ]);
  expect(await load(`export default [${one}];`)).toMatchObject({ inFolders: true });
});

test.each([
  [
    'environments by name',
    'export default { staging: { namespace: "a" }, production: { namespace: "b" } };',
    /environments\.ts: exports an object with the environments staging, production, must be one environment, or a list of them; write \[\{ name: 'staging', … \}, \{ name: 'production', … \}\]/,
  ],
  [
    'a text',
    'export default "prod";',
    /got "prod", must be one environment, or a list of them; write export default \[/,
  ],
  ['nothing', 'export default null;', /got null, must be one environment/],
  ['a function', 'export default () => [];', /must be one environment/],
  [
    'no default export',
    'export const environments = [];',
    /has no default export; write `export default \[defineEnvironment/,
  ],
  ['an empty list', 'export default [];', /holds no environment/],
  ['a text in the list', 'export default ["prod"];', /\[0\].*"prod"/],
  ['a typo', 'export default [{ nam: "prod" }];', /\[0\]\.nam: unknown field/],
  ['two of one name', 'export default [{}, {}];', /two environments are called default/],
])('%s is refused with a sentence', async (_, text, message) => {
  await expect(load(text)).rejects.toThrow(message);
});

test('YAML gives the same errors', async () => {
  const text = 'staging:\n  namespace: a\n';
  await expect(load(text, 'environments.yaml')).rejects.toThrow(/with the environments staging/);
});

const PRICES = 'source: a contract\ndate: 2026-05-01\ncurrency: EUR\nmemory_gib_hour: 0.004\n';

test('a file of prices lies under the prices beside it, key by key', async () => {
  mkdirSync(join(folder, 'prices'));
  const gpus = 'gpu_hour: { a: 1, b: 2 }\n';
  writeFileSync(join(folder, 'prices', 'x.yaml'), `${PRICES}${gpus}`);
  const prices = "{ file: 'prices/x.yaml', cpuHour: 0.03, gpuHour: { b: 3 } }";
  const { all } = await load(`export default { prices: ${prices} };`);
  expect(all[0]?.prices).toEqual({
    source: 'a contract',
    date: '2026-05-01',
    currency: 'EUR',
    cpuHour: 0.03,
    memoryGiBHour: 0.004,
    gpuHour: { a: 1, b: 3 },
  });
});

test.each([
  ['a file that is absent', 'y.yaml', /prices\.file: got "y.yaml", must be an existing file/],
  ['a file outside', '../x.yaml', /prices\.file: got "\.\.\/x.yaml", must be an existing file/],
  ['a file without source and date', 'x.yaml', /x\.yaml.*source.*\n.*x\.yaml.*date/],
])('%s is refused', async (_, file, message) => {
  writeFileSync(join(folder, 'x.yaml'), 'currency: USD\ncpu_hour: 0.03\n');
  const text = `prices:\n  file: ${file}\n`;
  await expect(load(text, 'environments.yaml')).rejects.toThrow(message);
});
