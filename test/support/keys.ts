import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import type { Source } from './sources';
import { ROOT } from './sources';

// Types tell an index of a list from a name. Only our own types and zod's are read: what comes from
// another package is of an unknown type, which counts as a name, and that is on the safe side.
const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
};

const CLOSED = ts.TypeFlags.NumberLike | ts.TypeFlags.StringLiteral | ts.TypeFlags.ESSymbolLike;

const hostFor = (files: ReadonlyMap<string, ts.SourceFile>): ts.CompilerHost => {
  const host = ts.createCompilerHost(OPTIONS);
  const exists = (file: string): boolean => files.has(file) || ts.sys.fileExists(file);
  const ownFile = (text: string, from: string): string | undefined => {
    const base = resolve(dirname(from), text);
    return text.startsWith('.')
      ? [`${base}.ts`, `${base}/index.ts`].find((file) => exists(file))
      : undefined;
  };
  return {
    ...host,
    fileExists: exists,
    getSourceFile: (file, ...rest) => files.get(file) ?? host.getSourceFile(file, ...rest),
    resolveModuleNameLiterals: (literals, from) =>
      literals.map(({ text }) => {
        if (text === 'zod' || from.includes('/node_modules/'))
          return ts.resolveModuleName(text, from, OPTIONS, host);
        const file = ownFile(text, from);
        const resolvedModule = file && { resolvedFileName: file, extension: ts.Extension.Ts };
        return { resolvedModule: resolvedModule || undefined };
      }),
  };
};

/** Is each value of it one that the source names, or a number? */
function isClosed(type: ts.Type, checker: ts.TypeChecker): boolean {
  const known = checker.getBaseConstraintOfType(type) ?? type;
  const parts = known.isUnion() ? known.types : [known];
  return parts.every(({ flags }) => (flags & CLOSED) !== 0);
}

/** `a[key]`, `key in a` and `{ [key]: x } = a`; `delete a[key]` looks at no prototype. */
function keyOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isElementAccessExpression(node))
    return ts.isDeleteExpression(node.parent) ? undefined : node.argumentExpression;
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword)
    return node.left;
  const name = ts.isBindingElement(node) ? node.propertyName : undefined;
  return name !== undefined && ts.isComputedPropertyName(name) ? name.expression : undefined;
}

/**
 * Where an object is asked for a key that is neither a number nor one of a few names that the
 * source tells: `file:line text`.
 */
export function freeKeys(sources: readonly Source[]): readonly string[] {
  const files = new Map(sources.map(({ path, tree }) => [join(ROOT, path), tree]));
  const program = ts.createProgram([...files.keys()], OPTIONS, hostFor(files));
  const checker = program.getTypeChecker();
  return sources.flatMap(({ path, tree }) => {
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      const key = keyOf(node);
      if (key !== undefined && !isClosed(checker.getTypeAtLocation(key), checker)) {
        const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree));
        found.push(`${path}:${line + 1} ${node.getText(tree)}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(tree);
    return found;
  });
}
