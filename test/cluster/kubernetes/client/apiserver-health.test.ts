import { createApiserverHealth } from '../../../../runtime/cluster/kubernetes/client/apiserver-health';
import { VirtualTime } from '../../../core/virtual-time';

test('health checks at about the same time share one request', async () => {
  const time = new VirtualTime();
  const timing = { now: () => time.now, after: time.after, random: () => 0.5 };
  let asked = 0;
  let answer = (): Promise<void> => Promise.resolve();
  const checkApiserver = createApiserverHealth({ alive: () => ((asked += 1), answer()) }, timing);
  await Promise.all([checkApiserver(), checkApiserver(), checkApiserver()]);
  await time.run(9000);
  await checkApiserver();
  expect(asked).toBe(1);
  answer = () => Promise.reject(new Error('nobody'));
  await time.run(1000);
  await expect(checkApiserver()).rejects.toThrow('nobody');
  await expect(checkApiserver()).rejects.toThrow('nobody');
  expect(asked).toBe(2);
});
