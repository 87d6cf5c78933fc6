import { TestEnvironment } from 'jest-environment-node';

/** What jest sends a worker that has no tests left (`CHILD_MESSAGE_END` of jest-worker). */
const END = 2;

// Jest gives a worker half a second to run out of work, then kills it with a warning. With both cores
// busy that is too short for a heap of hundreds of megabytes to be taken down: leave at once instead.
process.on('message', (message: unknown) => {
  if (Array.isArray(message) && message[0] === END) process.exit();
});

// The one form of export that jest takes for an environment and that is not a default export.
export = TestEnvironment;
