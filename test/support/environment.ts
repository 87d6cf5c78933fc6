import { AsyncLocalStorage } from 'node:async_hooks';
import { TestEnvironment } from 'jest-environment-node';

/** What jest sends a worker that has no tests left (`CHILD_MESSAGE_END` of jest-worker). */
const END = 2;

// Jest gives a worker half a second to run out of work, then kills it with a warning. With both cores
// busy that is too short for a heap of hundreds of megabytes to be taken down: leave at once instead.
process.on('message', (message: unknown) => {
  if (Array.isArray(message) && message[0] === END) process.exit();
});

// jest-circus follows each test in an AsyncLocalStorage, one for each test file, and never disables it.
// Before Node 24 every promise and every callback is shown to each storage that is enabled: after a
// hundred files in a worker, code with many promises takes five times as long.
const enabled = new Set<AsyncLocalStorage<unknown>>();
// oxlint-disable-next-line typescript/unbound-method -- called with its storage
const { run } = AsyncLocalStorage.prototype;
AsyncLocalStorage.prototype.run = function (this: AsyncLocalStorage<unknown>, ...args: never[]) {
  enabled.add(this);
  return run.apply(this, args as never) as never;
};

class Environment extends TestEnvironment {
  override async teardown(): Promise<void> {
    await super.teardown();
    for (const storage of enabled) storage.disable();
    enabled.clear();
  }
}

// The one form of export that jest takes for an environment and that is not a default export.
export = Environment;
