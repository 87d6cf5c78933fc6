import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';

export const ROOT = join(__dirname, '..', '..');

/** One import of a source file. */
export interface Import {
  /** As written: `../core/table`, `zod`, `node:fs`. */
  readonly text: string;
  /** Path from the root without extension for our own files; undefined for packages. */
  readonly file: string | undefined;
  /** `import type`, or every imported name is a type. */
  readonly typeOnly: boolean;
  /** `import('…')`: loaded when it is needed. */
  readonly dynamic: boolean;
}

export interface FunctionSize {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

/** A file as the tidy test sees it. */
export interface Source {
  /** Path from the root, `/` between folders. */
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** All TypeScript files of some top folders. */
export function sourcesOf(folders: readonly string[]): readonly Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.includes('node_modules'))
      .map((name) => readSource(`${folder}/${name}`)),
  );
}

export const readSource = (path: string): Source =>
  sourceOf(path, readFileSync(join(ROOT, path), 'utf8'));

export function sourceOf(path: string, text: string): Source {
  const tree = ts.createSourceFile(join(ROOT, path), text, ts.ScriptTarget.ES2022, true);
  return { path, text, tree };
}

function ownFile(from: string, text: string): string | undefined {
  if (text === '@suoke/ai-model-service') return 'lib/index';
  if (text === '@suoke/ai-model-service/spec') return 'lib/spec/public';
  return text.startsWith('.') ? normalize(join(dirname(from), text)) : undefined;
}

function namesAreTypes(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const bindings = clause.namedBindings;
  return (
    clause.name === undefined &&
    bindings !== undefined &&
    ts.isNamedImports(bindings) &&
    bindings.elements.every(({ isTypeOnly }) => isTypeOnly)
  );
}

/** Every way a file reaches another: import, export from, `import()`, `require()`, `import('x').T`. */
export function importsOf({ path, tree }: Source): readonly Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, typeOnly: boolean, dynamic: boolean): void => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return;
    found.push({ text: node.text, file: ownFile(path, node.text), typeOnly, dynamic });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, namesAreTypes(node.importClause), false);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly, false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true, false);
    } else if (ts.isCallExpression(node)) {
      const dynamic = node.expression.kind === ts.SyntaxKind.ImportKeyword;
      const required = ts.isIdentifier(node.expression) && node.expression.text === 'require';
      if (dynamic || required) add(node.arguments[0], false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Functions with their length in lines, whole: signature to closing brace. */
export function functionsOf({ tree }: Source): readonly FunctionSize[] {
  const found: FunctionSize[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = tree.getLineAndCharacterOfPosition(node.getStart()).line;
      const last = tree.getLineAndCharacterOfPosition(node.getEnd()).line;
      found.push({ name: nameOf(node), line: first + 1, lines: last - first + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  const { parent } = node;
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)
    ? parent.name.getText()
    : 'a function';
}
