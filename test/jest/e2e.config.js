// End-to-end runs: the built command line as a process of its own. Needs `scripts/dev.sh build` first.
/** @type {import('jest').Config} */
module.exports = {
  rootDir: '../..',
  // A failed test may leave a service running; that must not hang the run.
  forceExit: true,
  ...require('../../jest.config.js'),
  // Services and servers come and go on ports that were free a moment ago.
  maxWorkers: 1,
  testMatch: ['**/test/e2e/**/*.e2e.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/test/e2e/long/', '/test/e2e/cluster/'],
  testTimeout: 120_000,
};
