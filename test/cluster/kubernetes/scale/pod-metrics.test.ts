import type { KubeList } from '../../../../runtime/cluster/kubernetes/client/api';
import { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import { PodMetrics } from '../../../../runtime/cluster/kubernetes/scale/pod-metrics';
import { VirtualTime } from '../../../core/virtual-time';

let time: VirtualTime;
let asked: number;
let changes: number;
let measures: PodMetrics;
let answer: () => Promise<KubeList>;

const measured =
  (...names: readonly string[]) =>
  async (): Promise<KubeList> => ({
    resourceVersion: '',
    items: names.map((name) => ({ apiVersion: 'v1', kind: 'PodMetrics', metadata: { name } })),
  });

const refused = (status: number) => (): Promise<KubeList> =>
  Promise.reject(new KubeError('status', 'no', { status, reason: '', causes: [] }));

function begin(first: () => Promise<KubeList>): void {
  time = new VirtualTime();
  asked = 0;
  changes = 0;
  answer = first;
  measures = new PodMetrics({
    api: { list: () => ((asked += 1), answer()) },
    namespace: 'models',
    timing: { now: () => time.now, after: time.after, random: () => 0.5 },
    onChange: () => void (changes += 1),
  });
}

const names = (): readonly string[] => [...measures.objects().keys()];

afterEach(() => measures.stop());

test('PodMetrics are polled every half minute', async () => {
  begin(measured('a'));
  await time.run(1000);
  expect(names()).toEqual(['a']);
  answer = measured('a', 'b');
  await time.run(30_000);
  expect(names()).toEqual(['a', 'b']);
  expect([asked, changes]).toEqual([2, 2]);
});

test('PodMetrics that can no longer be read are dropped', async () => {
  begin(measured('a'));
  await time.run(1000);
  answer = refused(503);
  await time.run(30_000);
  expect(names()).toEqual([]);
  answer = measured('a');
  await time.run(30_000);
  expect(names()).toEqual(['a']);
});

test('without metrics-server or permission they are polled rarely, without a log line', async () => {
  for (const status of [403, 404]) {
    begin(refused(status));
    await time.run(290_000);
    expect([asked, changes]).toEqual([1, 0]);
    await time.run(20_000);
    expect(asked).toBe(2);
    measures.stop();
  }
});

test('polling ends when it is stopped', async () => {
  begin(measured('a'));
  await time.run(1000);
  measures.stop();
  expect(time.pending()).toBe(0);
});
