// The end-to-end run on a real cluster: scripts/test-cluster.sh starts it. Suites mostly wait, each in a
// namespace of its own, so more of them run at once than there are cores.
/** @type {import('jest').Config} */
module.exports = {
  ...require('./e2e.config.js'),
  testMatch: ['**/test/e2e/cluster/**/*.e2e.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 4,
  testTimeout: 240_000,
};
