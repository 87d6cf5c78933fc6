import { existsSync } from 'node:fs';
import { createUsageMeter } from '../../../runtime/cluster/local/usage';

test("a busy process uses cores and memory by the system's count", () => {
  let at = 1000;
  const measure = createUsageMeter(process.pid, () => at);
  const since = process.cpuUsage();
  while (process.cpuUsage(since).user < 200_000) Math.sqrt(Math.random());
  measure();
  const before = process.cpuUsage();
  while (process.cpuUsage(before).user < 200_000) Math.sqrt(Math.random());
  at += 1000;
  const usage = measure();
  if (!existsSync('/proc/self/stat')) {
    expect(usage).toBeUndefined();
    return;
  }
  const { user, system } = process.cpuUsage(before);
  // /proc counts in hundredths of a second.
  expect(Math.abs((usage?.cpuCores ?? 0) - (user + system) / 1e6)).toBeLessThan(0.05);
  const memory = process.memoryUsage.rss();
  expect(Math.abs((usage?.memoryBytes ?? 0) - memory) / memory).toBeLessThan(0.2);
});

test('a process that ended has no usage', () => {
  expect(createUsageMeter(2 ** 30, Date.now)()).toBeUndefined();
});
