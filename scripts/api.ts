// The public API as text: what `@suoke/ai-model-service` and `…/spec` export, with signatures. The
// committed public-api.txt shows a change of it in review.
//   npx tsx scripts/api.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const ROOT = join(__dirname, '..');
const REPORT = join(ROOT, 'public-api.txt');
const ENTRIES = [
  ['@suoke/ai-model-service', 'lib/index.ts'],
  ['@suoke/ai-model-service/spec', 'lib/spec/public.ts'],
] as const;

const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
const program = ts.createProgram(
  ENTRIES.map(([, file]) => join(ROOT, file)),
  options,
);
const checker = program.getTypeChecker();
const FLAGS =
  ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** As it is declared, else as it is inferred. What a zod schema holds is in schema/, not here. */
function typeText(symbol: ts.Symbol, at: ts.Node): string {
  const [node] = symbol.declarations ?? [];
  const declared = node && 'type' in node ? (node.type as ts.TypeNode | undefined) : undefined;
  if (declared !== undefined && !ts.isFunctionLike(node)) return oneLine(declared.getText());
  const text = checker.typeToString(checker.getTypeOfSymbolAtLocation(symbol, at), at, FLAGS);
  return text.startsWith('Zod') || text.includes('z.core') ? 'zod schema' : text;
}

/** A function or constructor as it is written, without its body. */
function signatureText(node: ts.SignatureDeclaration): string {
  const parameters = node.parameters.map((one) => oneLine(one.getText())).join(', ');
  const result = node.type === undefined ? '' : `: ${oneLine(node.type.getText())}`;
  const types = node.typeParameters?.map((one) => oneLine(one.getText())).join(', ');
  return `${types === undefined ? '' : `<${types}>`}(${parameters})${result}`;
}

const isHidden = (symbol: ts.Symbol): boolean =>
  symbol.name.startsWith('#') ||
  symbol.name.startsWith('__#') ||
  (symbol.declarations ?? []).some(
    (one) => (ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Private) !== 0,
  );

function memberLine(symbol: ts.Symbol, at: ts.Node): string {
  const optional = (symbol.flags & ts.SymbolFlags.Optional) !== 0 ? '?' : '';
  const [node] = symbol.declarations ?? [];
  const isCall = node !== undefined && (ts.isMethodDeclaration(node) || ts.isMethodSignature(node));
  const text = isCall ? signatureText(node) : `: ${typeText(symbol, at)}`;
  return `  ${symbol.name}${optional}${text}`;
}

/** Own members only: those of a base class stand with it. */
function membersOf(symbol: ts.Symbol, at: ts.Node): readonly string[] {
  return [...(symbol.members?.values() ?? [])]
    .filter(
      (one) =>
        (one.flags &
          (ts.SymbolFlags.Property | ts.SymbolFlags.Method | ts.SymbolFlags.Accessor)) !==
        0,
    )
    .filter((one) => !isHidden(one))
    .map((one) => memberLine(one, at));
}

function heritageOf(node: ts.ClassDeclaration | ts.InterfaceDeclaration): string {
  return (node.heritageClauses ?? []).map((clause) => ` ${clause.getText()}`).join('');
}

function textOf(name: string, symbol: ts.Symbol): string {
  const [node] = symbol.declarations ?? [];
  if (node === undefined) return name;
  if (ts.isClassDeclaration(node)) {
    const made = node.members
      .filter((one) => ts.isConstructorDeclaration(one))
      .map((one) => `  new ${signatureText(one)}`);
    return [`class ${name}${heritageOf(node)}`, ...made, ...membersOf(symbol, node)].join('\n');
  }
  if (ts.isInterfaceDeclaration(node)) {
    return [`interface ${name}${heritageOf(node)}`, ...membersOf(symbol, node)].join('\n');
  }
  if (ts.isTypeAliasDeclaration(node)) return `type ${name} = ${oneLine(node.type.getText())}`;
  if (ts.isFunctionDeclaration(node)) return `function ${name}${signatureText(node)}`;
  return `const ${name}: ${typeText(symbol, node)}`;
}

function exportsOf(file: string): readonly string[] {
  const source = program.getSourceFile(join(ROOT, file));
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${file} is not a module`);
  return checker
    .getExportsOfModule(module)
    .map((symbol) => {
      const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
      return textOf(symbol.name, isAlias ? checker.getAliasedSymbol(symbol) : symbol);
    })
    .toSorted();
}

const report = ENTRIES.map(([name, file]) => `## ${name}\n\n${exportsOf(file).join('\n')}\n`).join(
  '\n',
);
if (!process.argv.includes('--check')) writeFileSync(REPORT, report);
else if (readFileSync(REPORT, 'utf8') !== report) {
  console.error('public-api.txt is not what the code says; run: npx tsx scripts/api.ts');
  process.exitCode = 1;
}
