import { createPulse } from '../../../../runtime/cluster/kubernetes/client/apiserver-health';
import { VirtualTime } from '../../../core/virtual-time';

test('watches that ask about the same time are one question to the server', async () => {
  const time = new VirtualTime();
  const timing = { now: () => time.now, after: time.after, random: () => 0.5 };
  let asked = 0;
  let answer = (): Promise<void> => Promise.resolve();
  const pulse = createPulse({ alive: () => ((asked += 1), answer()) }, timing);
  await Promise.all([pulse(), pulse(), pulse()]);
  await time.run(9000);
  await pulse();
  expect(asked).toBe(1);
  answer = () => Promise.reject(new Error('nobody'));
  await time.run(1000);
  await expect(pulse()).rejects.toThrow('nobody');
  await expect(pulse()).rejects.toThrow('nobody');
  expect(asked).toBe(2);
});
