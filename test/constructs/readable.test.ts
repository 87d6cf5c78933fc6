import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiObject, App, Chart, Yaml, YamlOutputType } from 'cdk8s';
import { ModelDeployment, ModelService } from '../../lib/constructs';
import { LinearApp } from '../../lib/synth/linear-app';

// cdk8s writes these so that kubectl cannot read them, or reads something else.
const TEXTS = ['a\u2028b', 'a\u0085b', 'a\u007fb', '0o22', '=', '<<', '\tone\ntwo\n'];
const data = Object.fromEntries(TEXTS.map((text, index) => [`k${index}`, text]));
const BROKEN = Yaml.stringify({ data });

let outdir: string;
beforeEach(() => {
  outdir = mkdtempSync(join(tmpdir(), 'readable-'));
});
afterEach(() => rmSync(outdir, { recursive: true }));

function written(app: App): string {
  app.synth();
  return readdirSync(outdir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => readFileSync(join(outdir, name), 'utf8'))
    .join('\n');
}

const env = Object.fromEntries(TEXTS.map((text, index) => [`K${index}`, text]));
const model = { id: 'a', version: '1', framework: 'sklearn', source: 's3://m/x', env } as const;

const addModel = (chart: Chart): unknown => new ModelDeployment(chart, 'model', { model });

const raw = /[\u2028\u0085\u007f]|: 0o22$|: =$|: <<$|\|-?\n *\t/m;

test('cdk8s writes the texts of this test unreadably', () => {
  expect(BROKEN).toMatch(raw);
});

test.each(Object.entries(YamlOutputType).filter(([name]) => Number.isNaN(Number(name))))(
  'an App of cdk8s with a model writes what kubectl reads, as %s',
  (_, yamlOutputType) => {
    const app = new App({ outdir, yamlOutputType: yamlOutputType as YamlOutputType });
    addModel(new Chart(app, 'models'));
    const text = written(app);
    expect(text).toContain('"a\\u2028b"');
    expect(text).not.toMatch(raw);
    expect(app.synthYaml()).not.toMatch(raw);
  },
);

test('other objects in the same App are written readably as well', () => {
  const app = new App({ outdir });
  const chart = new Chart(app, 'service');
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', { config: { auth: { mode: 'none' } } });
  // oxlint-disable-next-line no-new
  new ApiObject(chart, 'other', { apiVersion: 'v1', kind: 'ConfigMap', data });
  expect(written(app)).not.toMatch(raw);
});

test("the linear App does so where it uses cdk8s' code, without a model too", () => {
  const app = new LinearApp({ outdir, yamlOutputType: YamlOutputType.FILE_PER_APP });
  // oxlint-disable-next-line no-new
  new ApiObject(new Chart(app, 'c'), 'x', { apiVersion: 'v1', kind: 'ConfigMap', data });
  expect(written(app)).not.toMatch(raw);
  expect(app.synthYaml()).not.toMatch(raw);
});

test('Apps without our constructs stay unchanged, also after one with them', () => {
  const ours = new App({ outdir });
  addModel(new Chart(ours, 'models'));
  ours.synth();
  expect(Yaml.stringify({ data })).toBe(BROKEN);
});
