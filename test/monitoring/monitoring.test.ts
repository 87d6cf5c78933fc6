import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dashboardFiles, modelRuleGroups, ruleGroups } from '../../lib/monitoring';
import { MODEL_ALERTS } from '../../lib/monitoring/model-alerts';
import { DASHBOARDS } from '../../lib/monitoring/panels';
import { SERVER_METRICS } from '../../lib/monitoring/server-metrics';
import { SERVICE_ALERTS } from '../../lib/monitoring/service-alerts';
import { yamlOf } from '../../lib/objects/yaml';
import { parseEnvironment, parseModel } from '../../lib/spec';
import { contract, createMetrics, observeProcess } from '../../runtime/metrics';
import { OnnxMetrics } from '../../runtime/onnx/metrics';
import { runbooksPage } from '../../scripts/runbooks-page';
import { textOf } from '../metrics/support';
import { ROOT } from '../support/sources';
import { ALERT_RULES, FAULTS, GROUPS } from './faults';

// Rules and dashboards: that they are what was committed, and that they name what exists. What they
// do is played by promtool, scripts/check-alerts.sh.

const GOLDEN = join(ROOT, 'test/golden/monitoring');

function checkGolden(name: string, actual: string): void {
  const path = join(GOLDEN, name);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, actual);
  }
  expect(actual).toBe(existsSync(path) ? readFileSync(path, 'utf8') : '');
}

const ALERTS = [...MODEL_ALERTS, ...SERVICE_ALERTS].map(({ alert }) => alert);

test('renders the rules of a model with a candidate, a shadow and an objective', () => {
  checkGolden('rules.yaml', yamlOf([{ groups: GROUPS }]));
});

test.each([...dashboardFiles()])('renders the dashboard %s', (name, text) => {
  checkGolden(name, text);
});

const KINDS = {
  onnx: 'onnx',
  tensorflow: 'tensorflow-serving',
  tensorrt: 'triton',
  sklearn: 'mlserver',
  huggingface: 'vllm',
} as const;

test('renders the metrics of each kind of server', () => {
  const groups = Object.keys(KINDS).flatMap((framework) =>
    modelRuleGroups(
      parseModel({
        id: `of_${framework}`,
        version: '1',
        framework,
        source: framework === 'huggingface' ? 'hf://a/b' : 's3://m/x',
        ...(framework === 'huggingface' && { type: 'llm' }),
      }),
      parseEnvironment({ namespace: 'models', runtime: { namespace: 'routers' } }),
    ).filter(({ name }) => name.endsWith('.servers')),
  );
  checkGolden('servers.yaml', yamlOf([{ groups }]));
  const kinds = groups.map(({ rules: [first] }) => first?.labels['server']);
  expect(kinds).toEqual(Object.values(KINDS));
});

test('a custom image has no recording rules, since its metrics are unknown', () => {
  const spec = parseModel({ id: 'own', version: '1', framework: 'custom', image: 'a/b:1' });
  const names = modelRuleGroups(spec, parseEnvironment({})).map(({ name }) => name);
  expect(names).toEqual(['ai-model-service.ai-models.own']);
});

/** Name → labels, of what the service itself exports. */
const OWN = new Map(
  [...contract().matchAll(/^(\w+)\{([\w,]*)\} (\w+)/gm)].flatMap(
    ([, name = '', labels = '', type]) => {
      const all = [...labels.split(','), ...(type === 'histogram' ? ['le'] : [])];
      const names = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      return names.map((suffix) => [name + suffix, all] as const);
    },
  ),
);
const RECORDED = new Map(
  Object.values(SERVER_METRICS).map(({ name }) => [name, ['model_id', 'arm', 'server']] as const),
);
/** What Prometheus adds to each series. */
const TARGET = ['namespace', 'instance'];

/** Metrics of an expression with the labels of their matchers. Each is written with braces. */
function selectorsIn(
  expr: string,
): readonly (readonly [name: string, labels: readonly string[]])[] {
  return [...expr.matchAll(/([a-zA-Z_:][\w:]*)\{([^}]*)\}/g)].map(
    ([, name = '', matchers = '']) => [
      name,
      [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label),
    ],
  );
}

const groupedBy = (expr: string): readonly string[] =>
  [...expr.matchAll(/\b(?:by|on) \(([\w, ]+)\)/g)].flatMap(([, list = '']) => list.split(/, */));

/** What an expression names that does not exist. */
function unknownIn(expr: string, known: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const selectors = selectorsIn(expr);
  if (selectors.length === 0) return [`no metric in ${expr}`];
  const labels = new Set([...TARGET, ...selectors.flatMap(([name]) => known.get(name) ?? [])]);
  const wrong = selectors.flatMap(([name, matched]) => {
    const own = known.get(name);
    if (own === undefined) return [name];
    return matched.filter((label) => !own.includes(label) && !TARGET.includes(label));
  });
  return [...wrong, ...groupedBy(expr).filter((label) => !labels.has(label))];
}

test('alerts use metrics and labels that the service exports', () => {
  expect(ALERT_RULES.length).toBeGreaterThan(10);
  expect(ALERT_RULES.flatMap(({ expr }) => unknownIn(expr, OWN))).toEqual([]);
  expect(unknownIn('sum by (x) (ai_model_models{arm="a"}) + made_up{}', OWN)).toEqual([
    'arm',
    'made_up',
    'x',
  ]);
});

test('dashboards use metrics that the service exports, or that are recorded', async () => {
  const text = await textOf(createMetrics(observeProcess()));
  const ofProcess = [...text.matchAll(/^# TYPE ((?:process|nodejs)_\w+)/gm)].map(
    ([, name = '']) => [name, []] as const,
  );
  const known = new Map<string, readonly string[]>([...OWN, ...RECORDED, ...ofProcess]);
  const queries = DASHBOARDS.flatMap(({ panels }) =>
    panels.flatMap((panel) => panel.queries.map(([expr]) => expr)),
  );
  expect(queries.length).toBeGreaterThan(40);
  expect(queries.flatMap((expr) => unknownIn(expr, known))).toEqual([]);
  const choices = [...[...dashboardFiles().values()].join('').matchAll(/label_values\((\w+)/g)];
  expect(choices.filter(([, name = '']) => !known.has(name))).toEqual([]);
});

test('the built-in server exports the recorded metrics', () => {
  const metrics = new OnnxMetrics({
    running: () => 0,
    waiting: () => 0,
    models: [],
    isJoined: () => false,
  });
  metrics.onRequest('v2', 200, 0.1);
  metrics.onRun(1);
  const text = metrics.text();
  const rules = GROUPS.flatMap((group) => group.rules.filter((rule) => 'record' in rule));
  const names = rules.flatMap(({ expr }) => selectorsIn(expr).map(([name]) => name));
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !text.includes(`\n${name}`))).toEqual([]);
});

test('each alert has faults for which it fires, and others for which it must not', () => {
  const firing = new Set(FAULTS.flatMap(({ fires }) => fires.map(({ alert }) => alert)));
  expect(ALERTS.filter((alert) => !firing.has(alert))).toEqual([]);
  expect(FAULTS.some(({ fires }) => fires.length === 0)).toBe(true);
  expect(new Set(ALERTS).size).toBe(ALERTS.length);
});

test('docs/runbooks.md is up to date with the table of alerts, and part of the package', () => {
  expect(readFileSync(join(ROOT, 'docs/runbooks.md'), 'utf8')).toBe(runbooksPage());
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly files: readonly string[];
  };
  expect(files).toContain('docs/runbooks.md');
});

test('each alert links to an existing section of the page of runbooks', () => {
  const page = runbooksPage();
  const anchors = [...page.matchAll(/^#+ (\w+)$/gm)].map(([, title = '']) => title.toLowerCase());
  for (const { annotations } of ALERT_RULES) {
    const [at, anchor] = (annotations['runbook_url'] ?? '').split('#');
    expect(at).toMatch(/\/docs\/runbooks\.md$/);
    expect(anchors).toContain(anchor);
  }
});

test('the page of runbooks can be a copy', () => {
  const environment = parseEnvironment({ monitoring: { runbooks: 'https://wiki.example/ai' } });
  const [service] = ruleGroups([], environment);
  expect(service?.rules[0]).toMatchObject({
    annotations: { runbook_url: 'https://wiki.example/ai#aimodelservicedown' },
  });
  const wrong = { monitoring: { runbooks: 'javascript:alert(1)' } };
  expect(() => parseEnvironment(wrong)).toThrow(/monitoring\.runbooks: .*http/);
});

test('alerts of a single router do not expect a second', () => {
  const names = (routers: number): readonly string[] =>
    ruleGroups([], parseEnvironment({}), routers).flatMap(({ rules }) =>
      rules.map((rule) => ('alert' in rule ? rule.alert : '')),
    );
  expect(names(1)).not.toContain('AiModelServiceRouterMissing');
  expect(names(2)).toContain('AiModelServiceRouterMissing');
});
