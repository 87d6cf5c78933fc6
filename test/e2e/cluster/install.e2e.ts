import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { documents } from '../../support/manifests';
import { ROOT } from '../../support/sources';
import { apply, kubectl } from './support/kubectl';
import { newKey } from './support/place';

// As a user does it: examples/kubernetes synthesized, dist/ as it is committed, two `kubectl apply`, curl.

const run = promisify(execFile);
const NAMESPACES = ['ai-model-service', 'ai-models'] as const;
const [SERVICE, MODELS] = NAMESPACES;
const folder = mkdtempSync(join(tmpdir(), 'e2e-install-'));

beforeAll(async () => {
  const found = await kubectl([
    'get',
    'namespace',
    ...NAMESPACES,
    '--ignore-not-found',
    '-o',
    'name',
  ]);
  if (found !== '') throw new Error(`${found.trim()} exists already; use an empty cluster`);
});

afterAll(async () => {
  await kubectl(['delete', 'namespace', ...NAMESPACES, '--ignore-not-found', '--wait=false']);
  rmSync(folder, { recursive: true, force: true });
});

test('on an empty cluster two applies and a wait lead to an answer of an ONNX model', async () => {
  const env = { ...process.env, CDK8S_OUTDIR: folder };
  await run('npx', ['tsx', 'examples/kubernetes/main.ts'], { cwd: ROOT, env });
  expect(readdirSync(folder).sort()).toEqual([
    '0000-namespace.k8s.yaml',
    'ai-model-service.k8s.yaml',
  ]);
  const { key, secret } = newKey(SERVICE);
  await kubectl(['apply', '--server-side', '-f', join(folder, '0000-namespace.k8s.yaml')]);
  await apply([secret]);
  await kubectl(['apply', '--server-side', '-f', folder]);
  await kubectl(['apply', '--server-side', '-f', join(ROOT, 'dist')]);
  for (const namespace of NAMESPACES) {
    const wait = ['wait', '--for=condition=Available', 'deployment', '--all', '--timeout=200s'];
    await kubectl([...wait, '--namespace', namespace]);
  }

  const get = (namespace: string, ...what: readonly string[]): Promise<string> =>
    kubectl(['get', ...what, '--namespace', namespace]);
  const ip = await get(SERVICE, 'service', 'ai-model-service', '-o', 'jsonpath={.spec.clusterIP}');
  const url = `http://${ip}:8080/api/v1/models/deep_tcm_diagnosis/inference`;
  const body = `@${join(ROOT, 'examples/requests/deep_tcm_diagnosis.json')}`;
  const json = ['-H', 'content-type: application/json', '--data', body];
  const { stdout } = await run('curl', ['-sS', '-H', `x-api-key: ${key}`, ...json, url]);
  expect(JSON.parse(stdout)).toMatchObject({
    model_id: 'deep_tcm_diagnosis',
    output_data: { syndrome: expect.any(String) as string },
  });
  const image = 'jsonpath={.spec.template.spec.containers[0].image}';
  expect(await get(MODELS, 'deployment', 'deep-tcm-diagnosis', '-o', image)).toBe(
    'suoke/ai-model-service:0.1.0',
  );
  const refused = await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...json, url]);
  expect(refused.stdout).toBe('401');
});

test('all objects are inside its two namespaces', async () => {
  const files = [folder, join(ROOT, 'dist')].flatMap((one) =>
    readdirSync(one).map((name) => readFileSync(join(one, name), 'utf8')),
  );
  const objects = files.flatMap(documents);
  expect(objects.length).toBeGreaterThan(30);
  const own: readonly (string | undefined)[] = NAMESPACES;
  const beyond = objects.filter(({ metadata }) => !own.includes(metadata.namespace));
  expect(beyond.map(({ kind }) => kind)).toEqual(['Namespace', 'Namespace']);
  // Nor has the service made any such thing since; other suites may have, for their namespaces.
  const kinds = ['clusterroles', 'clusterrolebindings', 'customresourcedefinitions', 'apiservices'];
  const webhooks = ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'];
  const answer = await kubectl(['get', [...kinds, ...webhooks].join(','), '-o', 'json']);
  const { items } = JSON.parse(answer) as { readonly items: readonly object[] };
  expect(items.length).toBeGreaterThan(30);
  const ours = items.map((one) => JSON.stringify(one)).filter((one) => one.includes(MODELS));
  expect(ours).toEqual([]);
});
