// Builds what is published: build/lib (compiled library with types) and build/bin.cjs (command line and
// service in one file, so that it starts fast and needs no dependency of its own but the peers).
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const { version } = require('../package.json');

/** Files of the offline API page; the rest of swagger-ui-dist (source maps, ES modules) is not needed. */
const DOCS_ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE', 'NOTICE'];

function compileLibrary() {
  rmSync(join(root, 'build', 'lib'), { recursive: true, force: true });
  const tsc = require.resolve('typescript/bin/tsc');
  const done = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
    stdio: 'inherit',
  });
  if (done.status !== 0) throw new Error('tsc found errors; see above');
}

/** Folders of the packages that went into the bundle: the image's bill of materials names them. */
function packagesIn({ inputs }) {
  const folders = Object.keys(inputs).flatMap(
    (path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  );
  return [...new Set(folders)].sort();
}

/** Modules of client-node that only declare: whatever of them nobody uses may go. Its package does not say so. */
const declarations = {
  name: 'declarations',
  setup: ({ onResolve, resolve }) => {
    onResolve({ filter: /./ }, async ({ path, pluginData, ...options }) => {
      if (pluginData === declarations) return undefined;
      const found = await resolve(path, { ...options, pluginData: declarations });
      const isOurs = /client-node[\\/]dist[\\/](?!polyfill)/.test(found.path);
      return isOurs ? { ...found, sideEffects: false } : undefined;
    });
  },
};

/** The code of a thread for large bodies, which stands in the command as text. */
async function bundleThread(file) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [join(root, 'runtime', file)],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    external: ['onnxruntime-node'],
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: 'warning',
  });
  return outputFiles[0].text;
}

async function bundleCommand() {
  const thread = await bundleThread('data/thread/worker.ts');
  const onnxThread = await bundleThread('onnx/worker.ts');
  const outfile = join(root, 'build', 'bin.cjs');
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    entryPoints: [join(root, 'cli', 'main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    // Names stay, for stack traces; without blanks and comments Node reads it 20 ms faster.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'linked',
    // Peers are the user's, at the user's versions; jiti brings files of its own that it looks for.
    // proto-loader is what gRPC reads .proto files with, on calls that we never make.
    external: [
      'cdk8s',
      'cdk8s-plus-28',
      'constructs',
      'onnxruntime-node',
      'jiti',
      'pino-pretty',
      '@grpc/proto-loader',
    ],
    define: {
      PACKAGE_VERSION: JSON.stringify(version),
      THREAD_SOURCE: JSON.stringify(thread),
      ONNX_THREAD_SOURCE: JSON.stringify(onnxThread),
    },
    plugins: [declarations],
    logLevel: 'warning',
    // Only a checkout looks the page up there; the package brings its files.
    logOverride: { 'require-resolve-not-external': 'silent' },
  });
  chmodSync(outfile, 0o755);
  writeFileSync(`${outfile}.packages.json`, JSON.stringify(packagesIn(metafile)));
}

function copyDocsAssets() {
  const from = dirname(require.resolve('swagger-ui-dist/package.json'));
  const to = join(root, 'build', 'docs-assets');
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const file of DOCS_ASSETS) cpSync(join(from, file), join(to, file));
}

const only = process.argv[2];
if (only === undefined || only === 'lib') compileLibrary();
if (only === undefined || only === 'bin') {
  await bundleCommand();
  copyDocsAssets();
}
