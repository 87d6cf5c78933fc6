// Writes lib/spec/modelinput.ts: the type of what an author writes, from the schema, with each
// field's description as its comment. What zod infers has no comments in the published types.
//   npx tsx scripts/modelinput.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { modelSchema } from '../lib/spec/model';
import { descriptionOf, kindOf, unwrap } from '../lib/spec/walk';

const FILE = join(__dirname, '..', 'lib', 'spec', 'modelinput.ts');
const COLUMNS = 100;
const HEAD = '// Written by scripts/modelinput.ts from the schema; do not edit.\n';

const names = new Map<z.ZodObject, string>();
const interfaces: string[] = [];

const capital = (text: string): string =>
  text.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());

const either = (types: readonly string[]): string => [...new Set(types)].join(' | ');

/** A comment in lines of at most 100 columns. */
function commentOf(text: string): string {
  if (text.length <= COLUMNS - '  /**  */'.length) return `/** ${text} */`;
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length > COLUMNS - '   *'.length) lines.push(` ${word}`);
    else lines[lines.length - 1] = longer;
  }
  return `/**\n${lines.map((line) => ` *${line}`).join('\n')}\n */`;
}

/** Options that no kind tells apart are told apart by their first field. */
function optionName({ options }: z.ZodUnion, option: z.core.$ZodType, name: string): string {
  const objects = options.map(unwrap).filter((one) => one instanceof z.ZodObject);
  const inner = unwrap(option);
  if (!(inner instanceof z.ZodObject) || objects.length < 2 || kindOf(inner) !== undefined) {
    return name;
  }
  return `${capital(Object.keys(inner.shape)[0] ?? '')}${name}`;
}

function typeOf(schema: z.core.$ZodType, name: string): string {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return nameOf(inner, `${capital(kindOf(inner) ?? '')}${name}`);
  if (inner instanceof z.ZodArray) return `(${typeOf(inner.def.element, name)})[]`;
  if (inner instanceof z.ZodRecord) return recordOf(inner, name);
  if (inner instanceof z.ZodUnion) {
    return either(inner.options.map((one) => typeOf(one, optionName(inner, one, name))));
  }
  if (inner instanceof z.ZodEnum) return either(inner.options.map((one) => JSON.stringify(one)));
  if (inner instanceof z.ZodLiteral)
    return either(inner.def.values.map((one) => JSON.stringify(one)));
  if (inner instanceof z.ZodString || inner instanceof z.ZodISODate) return 'string';
  if (inner instanceof z.ZodNumber) return 'number';
  if (inner instanceof z.ZodBoolean) return 'boolean';
  if (inner instanceof z.ZodUnknown) return 'unknown';
  throw new Error(`${name}: no type is known for ${inner.constructor.name}; add it here`);
}

function recordOf({ def }: z.ZodRecord, name: string): string {
  const key = typeOf(def.keyType, name);
  const record = `Record<${key}, ${typeOf(def.valueType, name)}>`;
  return key === 'string' ? record : `Partial<${record}>`;
}

function fieldOf(name: string, field: z.core.$ZodType): string {
  const text = descriptionOf(field);
  if (text === undefined) throw new Error(`${name} has no description; add one with .describe()`);
  const type = typeOf(field, capital(name));
  const own = z.safeParse(field, undefined).success
    ? `${name}?: ${type} | undefined`
    : `${name}: ${type}`;
  return `${commentOf(text)}\n${own};`;
}

function nameOf(object: z.ZodObject, wanted: string): string {
  const known = names.get(object);
  if (known !== undefined) return known;
  const taken = new Set(names.values());
  const name = taken.has(`${wanted}Input`) ? `${wanted}${names.size}Input` : `${wanted}Input`;
  names.set(object, name);
  const fields = Object.entries(object.shape).map(([key, field]) => fieldOf(key, field));
  const head = name === 'ModelInput' ? '/** What an author writes. */\nexport ' : '';
  interfaces.push(`${head}interface ${name} {\n${fields.join('\n')}\n}`);
  return name;
}

async function textOf(): Promise<string> {
  nameOf(modelSchema, 'Model');
  const options = await resolveConfig(FILE);
  return format(`${HEAD}\n${interfaces.join('\n\n')}\n`, { ...options, filepath: FILE });
}

async function main(): Promise<void> {
  const text = await textOf();
  if (!process.argv.includes('--check')) writeFileSync(FILE, text);
  else if (readFileSync(FILE, 'utf8') !== text) {
    console.error('lib/spec/modelinput.ts is not what the schema says; run:');
    console.error('npx tsx scripts/modelinput.ts');
    process.exitCode = 1;
  }
}

void main();
