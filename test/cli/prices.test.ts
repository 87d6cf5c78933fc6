import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { runCommand } from '../../cli/program';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'prices-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function convert(csv: string, ...options: readonly string[]) {
  writeFileSync(join(folder, 'x.csv'), csv);
  let [out, err] = ['', ''];
  const args = ['prices', 'import', 'x.csv', '--date', '2026-05-01', ...options];
  const code = await runCommand(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
    cwd: folder,
    terminal: false,
    now: () => new Date(0),
  });
  return { code, out, err };
}

const HEAD =
  'EndTimestamp,InstanceID,Region,AssetClass,InstanceIDField,InstanceType,MarketPriceHourly,Version\n';
const NODE = ',n1,,node,spec.providerID,m5.2xlarge,0.4,\n';
const GPU = ',"NVIDIA-L4",,gpu,nvidia.com/gpu.product,,0.7,\n';
const VOLUMES =
  ',fast,,pv,spec.storageClassName,,0.0002,\n# one volume\n,v1,,pv,metadata.name,,0.1,\n';
const SIZE = ['--node', 'M5.2xlarge', '--cpu', '8', '--memory', '32Gi'];

test('a CSV of OpenCost becomes a file of prices', async () => {
  const options = [...SIZE, '--currency', 'EUR', '--source', 'a contract', '--out', 'x.yaml'];
  const { code, out, err } = await convert(`\uFEFF${HEAD}${NODE}${GPU}${VOLUMES}`, ...options);
  expect([code, out, err]).toEqual([0, '', 'x.csv: prices of single volumes were left out (1)\n']);
  const file = parse(readFileSync(join(folder, 'x.yaml'), 'utf8')) as Record<string, number>;
  expect(file).toMatchObject({
    source: 'a contract',
    date: '2026-05-01',
    currency: 'EUR',
    gpu_hour: { 'NVIDIA-L4': 0.7 },
    storage_classes: { fast: 0.0002 },
  });
  // The node costs the sum of its parts, split by the ratio of OpenCost's default prices.
  const { cpu_hour: core = 0, memory_gib_hour: gib = 0 } = file;
  expect(8 * core + 32 * gib).toBeCloseTo(0.4, 6);
  expect(core / gib).toBeCloseTo(0.031611 / 0.004237, 5);
});

test('prices of nodes need the node that models run on', async () => {
  const { code, out, err } = await convert(`${NODE}${GPU}`);
  expect(code).toBe(0);
  expect(parse(out)).not.toHaveProperty('cpu_hour');
  expect(err).toMatch(/prices of nodes were left out: name the node .* --node, --cpu and --memory/);
});

const EU = ',n1,eu,node,spec.providerID,m5,0.4,\n';
const US = ',n1,us,node,spec.providerID,m5,0.3,\n';

test.each<[string, string, readonly string[], number, RegExp]>([
  [
    'a row with too few columns',
    `${HEAD}a,b\n`,
    [],
    1,
    /x\.csv: line 2: has 2 columns, must have 8/,
  ],
  ['a price in words', ',n1,,node,,,free,\n', [], 1, /line 1: MarketPriceHourly: got "free"/],
  ['a price that is absent', ',n1,,node,,,,\n', [], 1, /line 1: MarketPriceHourly: got ""/],
  ['an open quote', ',"n1,,node,,,1,\n', [], 1, /line 1: a quote is wrong/],
  ['no rows', HEAD, [], 1, /x\.csv: has no prices/],
  ['several regions', `${EU}${US}`, SIZE, 1, /has the regions eu, us; choose one with --region/],
  [
    'a node that is not there',
    NODE,
    ['--node', 'x', '--cpu', '1', '--memory', '1Gi'],
    1,
    /--node: got x, must be one of m5\.2xlarge/,
  ],
  ['a node without its size', NODE, ['--node', 'n1', '--cpu', '8'], 2, /--memory: is missing/],
  ['a day in words', NODE, ['--date', 'today'], 1, /date: got "today", must be/],
])('%s is refused', async (_, csv, options, exit, message) => {
  const { code, out, err } = await convert(csv, ...options);
  expect([code, out]).toEqual([exit, '']);
  expect(err).toMatch(message);
});

test('a region chooses its rows', async () => {
  const size = ['--node', 'm5', '--cpu', '1', '--memory', '1Gi'];
  const { out } = await convert(`${EU}${US}`, ...size, '--region', 'US');
  const { cpu_hour: core = 0, memory_gib_hour: gib = 0 } = parse(out) as Record<string, number>;
  expect(core + gib).toBeCloseTo(0.3, 6);
});
