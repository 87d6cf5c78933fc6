// Model servers of others in pods of a real cluster: scripts/test-long.sh starts it.
/** @type {import('jest').Config} */
module.exports = {
  ...require('./long.config.js'),
  testMatch: ['**/test/e2e/long/pods/*.e2e.ts'],
};
