import type { ModelInput } from '../../../lib/spec';
import { until } from '../service';
import { apply } from './support/kubectl';
import type { Place, Status } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { standIn } from './support/standin';
import { stored, storeObjects } from './support/store';

// What is the matter, on a real cluster: `GET /status` names the cause soon after it is there.

/** From the moment the condition shows in the cluster. */
const SOON_MS = 30_000;
/** For Kubernetes to get into the condition: a crash loop, a killed container. */
const APPEAR_MS = 90_000;

/** Any image without a USER; nodes that reach no registry are given one (scripts/test-cluster.sh). */
const ROOT_IMAGE = process.env['E2E_ROOT_IMAGE'] ?? 'busybox:1.36';

let place: Place;
beforeAll(async () => {
  place = await install('why', { props: { minReplicas: 1 } });
  await apply(storeObjects('health_assessment-v2.0.0.onnx'), '--namespace', place.namespace);
  await place.kubectl('rollout', 'status', 'deployment/store', '--timeout=120s');
});
afterAll(() => place.end());

type Why = NonNullable<Status['why']>;

/** A jsonpath over the pods of a model says that the condition is there. */
async function appeared(id: string, path: string, shows: RegExp): Promise<void> {
  const label = `ai-model.suoke.life/model=${id}`;
  const look = (): Promise<string> =>
    place.kubectl('get', 'pods', '-l', label, '-o', `jsonpath=${path}`);
  await until(`${id} in trouble`, look, (seen) => shows.test(seen), APPEAR_MS);
}

/** The cause that is told within the time, and how the model is. */
async function told(
  id: string,
  cause: string,
  ms = SOON_MS,
): Promise<Why & Pick<Status, 'status' | 'serving'>> {
  const { why, status, serving } = await place.status(id, (seen) => seen.why?.cause === cause, ms);
  if (why === null) throw new Error('it was just seen');
  return { ...why, status, serving };
}

const deploy = (model: ModelInput): Promise<string> => place.applyModel(model);

const WAITING = '{.items[*].status.containerStatuses[*].state.waiting.reason}';

test('an image that does not exist is the cause', async () => {
  await deploy(standIn('nowhere', {}, { image: 'registry.invalid/suoke/nothing:1' }));
  await appeared('nowhere', WAITING, /ErrImagePull|ImagePullBackOff/);
  const why = await told('nowhere', 'image-pull');
  expect(why.message).toContain('registry.invalid/suoke/nothing:1');
  expect(why).toMatchObject({
    status: 'failed',
    serving: false,
    object: expect.stringContaining('Pod/') as string,
  });
});

test('a missing node with the GPU is the cause', async () => {
  await deploy(standIn('gpu', {}, { resources: { cpu: '10m', memory: '96Mi', gpu: 1 } }));
  await appeared('gpu', '{.items[*].status.conditions[*].reason}', /Unschedulable/);
  const why = await told('gpu', 'no-node-fits');
  expect(why.message).toMatch(/nvidia\.com\/gpu/);
});

test('a used-up quota is the cause', async () => {
  await place.kubectl('create', 'quota', 'small', '--hard=requests.memory=3Gi');
  const used = (): Promise<string> =>
    place.kubectl('get', 'quota', 'small', '-o', 'jsonpath={.status.hard}');
  await until('the quota holds', used, (hard) => hard.includes('3Gi'));
  await deploy(standIn('greedy', {}, { resources: { cpu: '10m', memory: '4Gi' } }));
  const why = await told('greedy', 'quota-exceeded');
  expect(why.message).toMatch(/quota small .*requests\.memory=4Gi/);
  await place.kubectl('delete', 'quota', 'small');
});

test('a missing Secret is the cause', async () => {
  const env = { TOKEN: { secret: 'keyless--token', key: 'token' } };
  await deploy({ ...standIn('keyless'), env });
  await appeared('keyless', WAITING, /CreateContainerConfigError/);
  expect((await told('keyless', 'missing-secret')).message).toContain('keyless--token');
});

test('a crash loop is the cause, with the last line of the log', async () => {
  await deploy(standIn('crash', { CRASH: 'cannot read weights.bin' }));
  await appeared('crash', WAITING, /CrashLoopBackOff/);
  const why = await told('crash', 'crash');
  expect(why.message).toMatch(/exit code 3.*cannot read weights\.bin/);
});

test('memory beyond the limit is the cause', async () => {
  await deploy(standIn('hungry', { EAT: 'yes' }));
  await appeared('hungry', '{.items[*].status.containerStatuses[*].lastState}', /OOMKilled/);
  expect((await told('hungry', 'oom-killed')).message).toContain('limit 96Mi');
});

test('an image that runs as root is the cause', async () => {
  await deploy(standIn('rooted', {}, { image: ROOT_IMAGE }));
  await appeared('rooted', WAITING, /CreateContainerConfigError/);
  expect((await told('rooted', 'image-wants-root')).message).toContain('runs as root');
});

test('a failing probe is the cause, with its response', async () => {
  await deploy(standIn('sick', { SICK: 'warming up' }));
  // Before it listens, that is what is said of it.
  const answers = ({ why }: Status): boolean => /startup.* got HTTP 500/i.test(why?.message ?? '');
  expect((await place.status('sick', answers, APPEAR_MS)).why?.cause).toBe('probe-failing');
});

test('an artifact with another digest than stated is the cause', async () => {
  const sha256 = 'f'.repeat(64);
  const source = { ...stored(place.namespace, 'health_assessment-v2.0.0.onnx'), sha256 };
  await deploy({ id: 'tampered', version: 'v1', framework: 'onnx', source });
  await appeared('tampered', '{.items[*].status.initContainerStatuses[*]}', /terminated/);
  const why = await told('tampered', 'artifact-mismatch');
  expect(why.message).toContain(sha256);
});

test('replicas that are not ready in time are the cause', async () => {
  const health = { initialDelaySeconds: 300, startupSeconds: 60 };
  const overrides = { Deployment: { spec: { progressDeadlineSeconds: 15 } } };
  await deploy(standIn('late', {}, { health, overrides }));
  const condition = '{.status.conditions[?(@.type=="Progressing")].reason}';
  const look = (): Promise<string> =>
    place.kubectl('get', 'deployment', 'late', '-o', `jsonpath=${condition}`);
  await until('the deadline', look, (reason) => reason === 'ProgressDeadlineExceeded', APPEAR_MS);
  expect((await told('late', 'progress-deadline')).message).toContain('within 15 s');
});

test('a version that cannot start is reported apart from the one that serves', async () => {
  await deploy(standIn('both'));
  await place.status('both', ({ status }) => status === 'running', APPEAR_MS);
  await deploy(standIn('both', { CRASH: 'no' }, { version: 'v2' }));
  const why = await told('both', 'crash', APPEAR_MS);
  expect(why).toMatchObject({ status: 'failed', serving: true });
});

test('no diagnosis needed another right than the Role has', async () => {
  expect(await refusals(place)).toEqual([]);
});
