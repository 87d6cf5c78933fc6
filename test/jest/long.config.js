// Real model servers of others behind the built router. Needs `scripts/dev.sh build` first, and pip; takes minutes.
/** @type {import('jest').Config} */
module.exports = {
  ...require('./e2e.config.js'),
  testMatch: ['**/test/e2e/long/*.e2e.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  // The first run installs the servers.
  testTimeout: 1_200_000,
  maxWorkers: 1,
};
