import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { freeKeys } from './support/keys';
import type { Import, Source } from './support/sources';
import { functionsOf, importsOf, readSource, ROOT, sourceOf, sourcesOf } from './support/sources';

// What may import what: ARCHITECTURE.md says it in words, this table is what holds.
// `types:x` allows type imports only, `lazy:x` dynamic ones and types. A room may always import itself.
// The first room whose name is a prefix of the file's path is the file's room.
const TABLE: Readonly<Record<string, readonly string[]>> = {
  // The definition's hash is part of the definition, and hashing by hand would be worse.
  'lib/spec/hash': ['lib/spec', 'node:crypto'],
  'lib/spec/': ['zod'],
  // Rules and dashboards, for operators and for plain files.
  'lib/monitoring/': ['lib/spec'],
  'lib/objects/': ['lib/spec', 'lib/monitoring', 'types:cdk8s-plus-28'],
  // What the service reads and what is rendered for it are checked by one schema.
  'lib/config/': ['lib/spec', 'zod', 'node:os', 'node:path'],
  'lib/constructs/': [
    'lib/spec',
    'lib/config',
    'lib/monitoring',
    'lib/objects',
    'cdk8s',
    'cdk8s-plus-28',
    'constructs',
  ],
  'lib/synth/': [
    'lib/spec',
    'lib/objects',
    'lib/constructs',
    'cdk8s',
    'constructs',
    'yaml',
    'jiti',
    'node:',
  ],
  // What a change means; the service answers it as well.
  'lib/plan/': ['lib/spec', 'lib/objects', 'zod'],
  'lib/index': ['lib/'],
  // Definitions are read by the rules that the library has for them.
  'runtime/core/policy/': ['lib/spec'],
  'runtime/core/': ['types:lib/spec', 'lib/spec/entry'],
  // What the router, the record and the ONNX server, which stands alone, need.
  'runtime/shared/': ['lib/spec/entry', 'node:'],
  'runtime/cluster/port': ['types:lib/spec', 'types:lib/plan', 'types:runtime/core'],
  // What is loaded from it is what is in the bundle of it.
  'runtime/cluster/kubernetes/client/kubeconfig': ['@kubernetes/client-node'],
  // It alone speaks with Kubernetes.
  'runtime/cluster/kubernetes/': [
    'lib/spec',
    'lib/objects',
    'runtime/core',
    'runtime/cluster/',
    'runtime/shared',
    'types:@kubernetes/client-node',
    'node:',
  ],
  'runtime/cluster/': [
    'lib/spec',
    'lib/synth/modelfile',
    'runtime/core',
    'runtime/shared',
    'node:',
  ],
  // A file of keys is read by the rules of the configuration.
  'runtime/auth/': [
    'lib/spec',
    'lib/config',
    'lib/synth/text',
    'types:runtime/app/config',
    'runtime/shared',
    'jose',
    'node:',
  ],
  'runtime/audit/': [
    'types:lib/spec',
    'types:lib/config',
    'types:runtime/app/config',
    'types:runtime/auth',
    'runtime/shared',
    'node:',
  ],
  'runtime/metrics/': [
    'types:lib/spec',
    'runtime/core',
    'types:runtime/cluster/port',
    'runtime/shared',
    'prom-client',
    'node:',
  ],
  'runtime/data/http/exchange': [
    'runtime/shared',
    'runtime/data/http/',
    'types:runtime/core',
    'types:runtime/auth/port',
  ],
  'runtime/data/http/': ['node:', 'runtime/shared'],
  // The library is heavy; what imports it is loaded only for those who have a port for gRPC.
  'runtime/data/grpc/': [
    'runtime/core',
    'types:runtime/auth/port',
    'runtime/data/',
    'runtime/shared',
    '@grpc/grpc-js',
    'node:buffer',
    'types:node:crypto',
    'node:fs',
    'node:net',
    'node:timers',
  ],
  // Who gets which replica when: nothing here knows bytes or sockets.
  'runtime/data/dispatch/': [
    'runtime/core',
    'runtime/shared/keyed-hash',
    'types:runtime/shared/spans',
    'types:runtime/data/http/exchange',
  ],
  // Words into other words: nothing here calls anybody.
  'runtime/data/transcode/': ['lib/spec/entry', 'runtime/core', 'runtime/shared', 'node:crypto'],
  'runtime/data/': [
    'types:lib/spec',
    'lib/spec/entry',
    'runtime/core',
    'types:runtime/cluster/port',
    'runtime/auth/port',
    'types:runtime/audit',
    'types:runtime/metrics',
    'types:runtime/app/config',
    'runtime/shared',
    'node:',
  ],
  'runtime/control/': [
    'lib/spec',
    'lib/objects',
    'lib/plan',
    'runtime/core',
    'runtime/cluster/port',
    'runtime/auth',
    'runtime/audit',
    'runtime/metrics',
    'runtime/shared',
    'types:runtime/app/config',
    'express',
    'helmet',
    'zod',
    'zod-openapi',
    'lazy:swagger-ui-dist',
    'node:',
  ],
  // The libraries are loaded only where traces are configured.
  'runtime/traces/': [
    'runtime/shared',
    '@opentelemetry/api',
    '@opentelemetry/otlp-transformer',
    '@opentelemetry/resources',
    'types:@opentelemetry/sdk-trace-base',
    'node:',
  ],
  'runtime/onnx/': [
    'lib/spec/closest',
    'lib/spec/entry',
    'lib/spec/protobuf',
    'runtime/shared',
    'types:onnxruntime-node',
    'lazy:onnxruntime-node',
    'node:',
  ],
  // The composition root makes every part and opens the ports; it alone imports from everywhere.
  'runtime/app/': [
    'lib/spec',
    'lib/config',
    'lib/objects/autoscaler',
    'lib/synth',
    'runtime/',
    'lazy:runtime/cluster/kubernetes',
    'pino',
    'yaml',
    'node:',
  ],
  'cli/fetch/': ['lib/spec', 'lib/synth/modelfile', 'aws4fetch', 'tar', 'yauzl', 'node:'],
  'cli/': ['lib/', 'types:runtime/', 'lazy:runtime/', 'commander', 'yaml', 'node:'],
};

const MAX_FILE_LINES = 350;
/** Written by scripts, and read in editors. */
const GENERATED = new Set(['lib/spec/modelinput.ts', 'lib/config/configinput.ts']);
const MAX_FUNCTION_LINES = 50;
const MAX_COLUMNS = 100;
const P90_FUNCTION_LINES = 25;

const product = sourcesOf(['lib', 'runtime', 'cli']);
const everything = [
  ...product,
  ...sourcesOf(['test', 'bench', 'scripts', 'models']),
  readSource('main.ts'),
];

const under = (...folders: readonly string[]): readonly Source[] =>
  everything.filter(({ path }) => folders.includes(path.split('/')[0] ?? ''));

function roomOf(path: string): string {
  return Object.keys(TABLE).find((prefix) => path.startsWith(prefix)) ?? '';
}

function allows(rule: string, { text, file, typeOnly, dynamic }: Import): boolean {
  const [, kind, wanted] = /^(?:(types|lazy):)?(.+)$/.exec(rule) ?? [];
  if (wanted === undefined) return false;
  if (kind === 'types' && !typeOnly) return false;
  if (kind === 'lazy' && !typeOnly && !dynamic) return false;
  if (wanted.endsWith(':')) return text.startsWith(wanted);
  if (file === undefined) return text === wanted || text.startsWith(`${wanted}/`);
  return file.startsWith(wanted);
}

function resolve(file: string): string | undefined {
  return [`${file}.ts`, `${file}/index.ts`, file].find(
    (path) => path.endsWith('.ts') && existsSync(join(ROOT, path)),
  );
}

function cycleFrom(
  path: string,
  edges: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
  trail: readonly string[] = [],
): readonly string[] | undefined {
  if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
  if (done.has(path)) return undefined;
  for (const next of edges.get(path) ?? []) {
    const cycle = cycleFrom(next, edges, done, [...trail, path]);
    if (cycle !== undefined) return cycle;
  }
  done.add(path);
  return undefined;
}

test('every file has a room, and imports only what the table allows its room', () => {
  const breaches = product.flatMap((source) => {
    const room = roomOf(source.path);
    if (room === '') return [`${source.path} is in no room`];
    const rules = [...(TABLE[room] ?? []), room];
    return importsOf(source)
      .filter((found) => !rules.some((rule) => allows(rule, found)))
      .map(({ text }) => `${source.path} imports ${text}`);
  });
  expect(breaches).toEqual([]);
});

test('every room of the table has files', () => {
  const lived = new Set(product.map(({ path }) => roomOf(path)));
  expect(Object.keys(TABLE).filter((room) => !lived.has(room))).toEqual([]);
});

test('ARCHITECTURE.md names files and folders that exist', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const named = [...text.matchAll(/`((?:lib|runtime|cli)\/[\w./-]+)`/g)].map(
    ([, path]) => path ?? '',
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

/** Files that a file imports when it is loaded or compiled. What is loaded later is not among them. */
function staticImports(source: Source): readonly string[] {
  return importsOf(source)
    .filter(({ dynamic }) => !dynamic)
    .flatMap(({ file }) => (file === undefined ? [] : [resolve(file) ?? '']));
}

test('imports have no cycles, imports of types included', () => {
  const edges = new Map(product.map((source) => [source.path, staticImports(source)]));
  const done = new Set<string>();
  const cycles = [...edges.keys()].map((path) => cycleFrom(path, edges, done) ?? []);
  expect([...new Set(cycles.map((cycle) => [...new Set(cycle)].sort().join(' ')))]).toEqual(['']);
});

/** Keys with more than one path, as `key: first, second`. */
function repeated(pairs: readonly (readonly [key: string, path: string])[]): readonly string[] {
  const groups = new Map<string, readonly string[]>();
  for (const [key, path] of pairs) groups.set(key, [...(groups.get(key) ?? []), path]);
  return [...groups]
    .filter(([, paths]) => paths.length > 1)
    .map(([key, paths]) => `${key}: ${paths.join(', ')}`);
}

const isExportedType = (one: ts.Statement): one is ts.InterfaceDeclaration =>
  (ts.isInterfaceDeclaration(one) ||
    ts.isTypeAliasDeclaration(one) ||
    ts.isClassDeclaration(one)) &&
  one.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;

const runtime = product.filter(({ path }) => path.startsWith('runtime/'));

test('an exported type name exists once in runtime/', () => {
  const named = runtime.flatMap(({ path, tree }) =>
    tree.statements.filter(isExportedType).map(({ name }) => [name.text, path] as const),
  );
  expect(repeated(named)).toEqual([]);
});

test('no two files of one plane have the same name', () => {
  const named = runtime.map(({ path }) => {
    const [, plane, ...rest] = path.split('/');
    return [`${plane}/…/${rest.at(-1)}`, path] as const;
  });
  expect(repeated(named.filter(([key]) => !key.endsWith('/index.ts')))).toEqual([]);
});

test('no file is imported by tests alone', () => {
  const used = new Set([...product, readSource('main.ts')].flatMap(allImports));
  const tested = new Set(under('test', 'bench').flatMap(allImports));
  expect([...tested].filter((path) => isProduct(path) && !used.has(path))).toEqual([]);
});

const allImports = (source: Source): readonly string[] =>
  importsOf(source).flatMap(({ file }) => (file === undefined ? [] : [resolve(file) ?? '']));

const isProduct = (path: string): boolean => product.some((source) => source.path === path);

test('the core has no clock, no randomness, no waiting and nothing of node', () => {
  const impure =
    /\b(?:Date\b|Math\.random|performance\b|async\b|await\b|Promise\b|setTimeout|setInterval|process\b|Buffer\b|crypto\b)/;
  const found = product
    .filter(({ path }) => /^(?:runtime\/core|lib\/(?:objects|monitoring|plan))\//.test(path))
    .flatMap((source) =>
      identifiersOf(source)
        .filter((name) => impure.test(name))
        .map((name) => `${source.path}: ${name}`),
    );
  expect(found).toEqual([]);
});

/** Names and property accesses as written, without comments and strings. */
function identifiersOf({ tree }: Source): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) found.push(node.getText());
    else if (
      ts.isIdentifier(node) &&
      !ts.isPropertyAccessExpression(node.parent) &&
      !ts.isPropertySignature(node.parent)
    )
      found.push(node.text);
    else if (node.kind === ts.SyntaxKind.AsyncKeyword) found.push('async');
    else if (ts.isAwaitExpression(node)) found.push('await');
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

test('only the composition root and the command line read the environment or take signals', () => {
  const found = product
    .filter(({ path }) => !/^(?:cli\/|runtime\/main\.ts)/.test(path))
    .filter((source) =>
      identifiersOf(source).some((name) => /^process\.(?:env|on|once|exit)\b/.test(name)),
    )
    .map(({ path }) => path);
  expect(found).toEqual([]);
});

test('no file and no function is too long to read', () => {
  const long = [...product, ...under('bench', 'scripts', 'models')].flatMap((source) => {
    const lines = source.text.split('\n').length - 1;
    const functions = functionsOf(source).filter((one) => one.lines > MAX_FUNCTION_LINES);
    return [
      ...(lines > MAX_FILE_LINES && !GENERATED.has(source.path)
        ? [`${source.path}: ${lines} lines`]
        : []),
      ...functions.map(
        ({ name, line, lines: size }) => `${source.path}:${line} ${name}: ${size} lines`,
      ),
    ];
  });
  expect(long).toEqual([]);
});

test('nine functions of ten have at most 25 lines', () => {
  const sizes = product
    .flatMap((source) => functionsOf(source).map(({ lines }) => lines))
    .sort((a, b) => a - b);
  expect(sizes[Math.floor(sizes.length * 0.9)]).toBeLessThanOrEqual(P90_FUNCTION_LINES);
});

// A sentence of a message, a path or a URL cannot be broken; code can.
const isText = (line: string): boolean => /['"`/]/.test(line);

test('lines fit on a screen, and no marks of unfinished work are left', () => {
  const marks = new RegExp(['TO', 'DO|FIX', 'ME|X', 'XX'].join(''));
  const found = everything.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const wide = [...line].length > MAX_COLUMNS && !isText(line);
      return wide || marks.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [];
    }),
  );
  expect(found).toEqual([]);
});

/** Sentences name the actor (the caller, the router, no replica), and say "is not a". */
const RIDDLE =
  /\b(?:whoever|nobody|somebody|no such thing)\b|(?<!\bthere )\b(?:is|are) (?:none|no (?!longer\b)[a-z]+)\b/i;

/** Pages and configuration. */
function prose(): readonly { readonly path: string; readonly text: string }[] {
  const folders = ['docs', 'config', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:md|ya?ml)$/.test(name) && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  );
  const top = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  return [...folders, ...top].map((path) => ({
    path,
    text: readFileSync(join(ROOT, path), 'utf8'),
  }));
}

test('pages, comments and messages name the actor in each sentence', () => {
  const texts = [...prose(), ...product, ...under('scripts')];
  const found = texts.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line) => (RIDDLE.test(line) ? [`${path}: ${line.trim()}`] : [])),
  );
  expect(found).toEqual([]);
});

// jest finds an environment by its default export.
const BY_DEFAULT = /^(?:models\/|test\/support\/(?:onnx-)?environment)/;

test('only definitions have a default export', () => {
  const found = everything
    .filter(({ path }) => !BY_DEFAULT.test(path))
    .filter(({ tree }) => tree.statements.some((one) => ts.isExportAssignment(one)))
    .map(({ path }) => path);
  expect(found).toEqual([]);
});

/** Names that a file takes from others, as `path#name`; `path#*`: all, `path#export`: all, to pass them on. */
function takenBy({ path, tree }: Source): readonly string[] {
  const found: string[] = [];
  const take = (specifier: ts.Node, names: readonly string[]): void => {
    const text = ts.isStringLiteral(specifier) ? specifier.text : '';
    const file = resolve(text.startsWith('.') ? join(dirname(path), text) : '');
    if (file !== undefined) found.push(...names.map((name) => `${file}#${name}`));
  };
  const namesOf = (list: ts.NamedImportBindings | ts.NamedExportBindings | undefined) =>
    list !== undefined && (ts.isNamedImports(list) || ts.isNamedExports(list))
      ? list.elements.map(({ propertyName, name }) => (propertyName ?? name).text)
      : ['*'];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node))
      take(node.moduleSpecifier, namesOf(node.importClause?.namedBindings));
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
      take(node.moduleSpecifier, node.exportClause ? namesOf(node.exportClause) : ['export']);
    else if (ts.isCallExpression(node) && node.arguments[0] !== undefined)
      take(node.arguments[0], ['*']);
    else if (ts.isBindingElement(node))
      found.push(`#${(node.propertyName ?? node.name).getText()}`);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Functions, classes and constants; types may be exported for what they describe. */
function valuesOf({ tree }: Source): readonly string[] {
  return tree.statements.flatMap((one) => {
    const isExported =
      ts.canHaveModifiers(one) &&
      one.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
    if (!isExported) return [];
    if (ts.isVariableStatement(one))
      return one.declarationList.declarations.map(({ name }) => name.getText());
    const isNamed = ts.isFunctionDeclaration(one) || ts.isClassDeclaration(one);
    return isNamed && one.name !== undefined ? [one.name.text] : [];
  });
}

test('what a file exports, another one imports', () => {
  const taken = new Set(everything.flatMap(takenBy));
  const names = new Set([...taken].map((one) => one.slice(one.indexOf('#') + 1)));
  const isTaken = (path: string, name: string): boolean =>
    taken.has(`${path}#${name}`) ||
    taken.has(`${path}#*`) ||
    (taken.has(`${path}#export`) && names.has(name));
  const unused = product.flatMap((source) =>
    valuesOf(source)
      .filter((name) => !isTaken(source.path, name))
      .map((name) => `${source.path}: ${name}`),
  );
  expect(unused).toEqual([]);
});

// Types of all sources are read for it.
const TYPES_MS = 120_000;

test(
  'keys from outside are looked up by entryOf and set by setEntry only',
  () => {
    expect(freeKeys(product.filter(({ path }) => path !== 'lib/spec/entry.ts'))).toEqual([]);
  },
  TYPES_MS,
);

test(
  'such keys are found in all the ways to write them; numbers and closed names are allowed',
  () => {
    const lines = [
      'declare const a: Readonly<Record<string, string>>, list: string[], key: string;',
      'declare const unknown: any, at: number, name: "x" | "y", map: Map<string, string>;',
      'a[key];',
      'a[`f:${key}`];',
      'list[unknown];',
      '(a as Record<string, string>)[key] = "";',
      'key in a;',
      'const { [key]: taken } = a;',
      'list[at] + list[list.length - 1] + a[name] + a["z"] + map.get(key);',
      'const all = { [key]: 1 };',
    ];
    const found = freeKeys([sourceOf('lib/x.ts', lines.join('\n'))]);
    expect(found.map((one) => one.split(' ')[0])).toEqual(
      [3, 4, 5, 6, 7, 8].map((n) => `lib/x.ts:${n}`),
    );
  },
  TYPES_MS,
);

test('dist holds manifests only', () => {
  const files = readdirSync(join(ROOT, 'dist'), { recursive: true, encoding: 'utf8' });
  expect(files.filter((name) => !name.endsWith('.k8s.yaml') && /\./.test(name))).toEqual([]);
});
