import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { checkovFindings, kubeconformFindings, kubeScoreFindings } from '../../scripts/reports';
import type { Finding, Waiver } from '../../scripts/waivers';
import { judge, waiversSchema } from '../../scripts/waivers';
import { ROOT } from '../support/sources';

const finding = (more: Partial<Finding> = {}): Finding => ({
  tool: 'kube-score',
  check: 'container-resources',
  object: 'Deployment/iris',
  file: 'iris.k8s.yaml',
  says: 'CPU limit is not set',
  ...more,
});
const waiver = (more: Partial<Waiver> = {}): Waiver => ({
  checks: ['kube-score container-resources'],
  objects: ['Deployment/*'],
  reason: 'CPU limits throttle a server while its node idles.',
  ...more,
});
const judged = (findings: readonly Finding[], waivers: readonly Waiver[], ran = ['kube-score']) => {
  const { open, unused } = judge(findings, waivers, ran);
  return { open: open.map(({ object }) => object), unused: unused.length };
};

test('a finding is open unless a waiver names its check and its object', () => {
  const open = { open: ['Deployment/iris'], unused: 2 };
  const waived = { open: [], unused: 0 };
  expect(judged([finding()], [])).toEqual({ open: ['Deployment/iris'], unused: 0 });
  expect(judged([finding()], [waiver()])).toEqual(waived);
  expect(judged([finding()], [waiver({ objects: ['Job/*'] })])).toEqual(open);
  expect(judged([finding()], [waiver({ objects: ['Deployment/ir'] })])).toEqual(open);
  expect(judged([finding()], [waiver({ objects: ['Deployment/i.is'] })])).toEqual(open);
  expect(judged([finding()], [waiver({ checks: ['kube-score container'] })])).toEqual(open);
  const says = (text: string) =>
    waiver({ checks: [`kube-score container-resources: ${text} limit is not set`] });
  expect(judged([finding()], [says('CPU')])).toEqual(waived);
  expect(judged([finding()], [says('Memory')])).toEqual(open);
});

test('a check or an object without findings is unused, unless its tool did not run', () => {
  const two = waiver({ objects: ['Deployment/iris', 'Deployment/gone'] });
  expect(judged([finding()], [two])).toEqual({ open: [], unused: 1 });
  const both = waiver({ checks: ['kube-score container-resources', 'checkov CKV_K8S_11'] });
  expect(judged([finding()], [both], ['kube-score', 'checkov'])).toEqual({ open: [], unused: 1 });
  expect(judged([finding()], [both], ['kube-score'])).toEqual({ open: [], unused: 0 });
  expect(judged([], [both], [])).toEqual({ open: [], unused: 0 });
});

test('a waiver without a reason, or for an unknown tool, is refused', () => {
  const accepted = (more: object): boolean =>
    waiversSchema.safeParse([{ ...waiver(), ...more }]).success;
  expect(accepted({})).toBe(true);
  expect(accepted({ reason: 'because' })).toBe(false);
  expect(accepted({ checks: ['polaris x'] })).toBe(false);
  expect(accepted({ objects: ['*'] })).toBe(false);
});

test('the waivers of this repository are well-formed', () => {
  const text = readFileSync(join(ROOT, 'config/manifest-waivers.yaml'), 'utf8');
  expect(waiversSchema.parse(parse(text)).length).toBeGreaterThan(0);
});

// As kubeconform 0.8, kube-score 1.20 and checkov 3.3 write them, shortened.
test('reports of the three tools become findings', () => {
  const resource = { filename: 'a.yaml', kind: 'PodMonitor', name: 'm', version: 'v1' };
  expect(
    kubeconformFindings({
      resources: [
        { ...resource, status: 'statusError', msg: 'could not find schema for PodMonitor' },
        { ...resource, status: 'statusInvalid', msg: "additional properties 'x' not allowed" },
      ],
    }).map(({ check, object }) => [check, object]),
  ).toEqual([
    ['no-schema', 'PodMonitor/m'],
    ['statusInvalid', 'PodMonitor/m'],
  ]);

  const check = (id: string, grade: number, summaries: readonly string[] | null) => ({
    check: { name: id, id },
    grade,
    skipped: false,
    comments: summaries && summaries.map((summary) => ({ path: 'server', summary })),
  });
  const scored = {
    object_name: 'iris',
    type_meta: { kind: 'Deployment', apiVersion: 'apps/v1' },
    object_meta: { name: 'iris' },
    file_name: 'a.yaml',
    checks: [check('tag', 10, null), check('cpu', 1, ['none', 'none']), check('spread', 5, ['x'])],
  };
  expect(kubeScoreFindings([scored]).map((one) => [one.check, one.object, one.says])).toEqual([
    ['cpu', 'Deployment/iris', 'none'],
  ]);
  expect(kubeScoreFindings(null)).toEqual([]);

  const failed = {
    check_id: 'CKV2_K8S_6',
    check_name: 'no policy',
    resource: 'Pod.ai-models.open.app.kubernetes.io/name-open',
    file_path: '/a.yaml',
  };
  const report = (summary: object) => ({
    summary: { passed: 9, parsing_errors: 0, resource_count: 3, ...summary },
    results: { failed_checks: [failed] },
  });
  expect(checkovFindings(report({})).map(({ object }) => object)).toEqual(['Pod/open']);
  expect(() => checkovFindings(report({ parsing_errors: 1 }))).toThrow('could not read');
  expect(() => checkovFindings(report({ passed: 0 }))).toThrow('could not read');
});
