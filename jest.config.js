const { availableParallelism } = require('node:os');

/** @type {import('jest').Config} */
module.exports = {
  // A socket that is reset while it closes can keep Node's loop turning, long after its test is done.
  forceExit: true,
  // Many suites mostly wait for sockets, processes and timers: others use the cores meanwhile.
  maxWorkers: availableParallelism() + 2,
  // Modules of finished suites stay in their worker; Node 24 gives up before Node 20 does.
  workerIdleMemoryLimit: '800MB',
  // Ends what hangs. On a machine whose cores are busy a test takes many times as long as on a quiet one.
  testTimeout: 30_000,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/test/e2e/'],
  testEnvironment: '<rootDir>/test/support/environment.ts',
  moduleNameMapper: {
    '^@suoke/ai-model-service$': '<rootDir>/lib/index.ts',
    '^@suoke/ai-model-service/spec$': '<rootDir>/lib/spec/public.ts',
  },
  transform: {
    '/runtime/cluster/kubernetes/client/kubeconfig\\.ts$': '<rootDir>/test/support/bundle.js',
    '\\.[cm]?[jt]s$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  // Published as ES modules only; jest's CommonJS loader needs them transformed.
  transformIgnorePatterns: ['/node_modules/(?!(@kubernetes/client-node|jose|zod-openapi)/)'],
};
