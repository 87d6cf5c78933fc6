const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');

// A module with all that it imports as one file, as the build makes it: jest resolves, reads and
// compiles a thousand modules of the client of Kubernetes one by one in each test file that needs it.

/** Packages change with their versions. */
const lock = readFileSync(require.resolve('../../package-lock.json'));

/** @type {import('@jest/transform').SyncTransformer} */
module.exports = {
  getCacheKey: (source, path, { configString }) =>
    createHash('sha256').update([source, path, configString].join('\0')).update(lock).digest('hex'),
  process: (_, path) => {
    const { outputFiles } = require('esbuild').buildSync({
      entryPoints: [path],
      bundle: true,
      write: false,
      platform: 'node',
      target: 'es2022',
      format: 'cjs',
      minifyWhitespace: true,
    });
    return { code: outputFiles[0].text };
  },
};
