// Writes the types of what authors write (definitions, environments, configurations) from their
// schemas, with each field's description as its comment. What zod infers has no comments in the
// published types.
//   npx tsx scripts/modelinput.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { configSchema } from '../lib/config';
import { environmentSchema, modelSchema } from '../lib/spec';
import { descriptionOf, kindOf, unwrap } from '../lib/spec/walk';

const COLUMNS = 100;
const HEAD = '// Written by scripts/modelinput.ts from the schema; do not edit.\n';

interface Output {
  readonly file: string;
  readonly schema: z.ZodObject;
  readonly name: string;
  readonly comment: string;
  /** A schema within it whose type stands in another file, with that import. */
  readonly imported?: readonly [schema: z.ZodObject, name: string, statement: string];
}

const OUTPUTS: readonly Output[] = [
  {
    file: 'lib/spec/modelinput.ts',
    schema: modelSchema,
    name: 'ModelInput',
    comment: 'What an author writes.',
  },
  {
    file: 'lib/spec/environmentinput.ts',
    schema: environmentSchema,
    name: 'EnvironmentInput',
    comment: 'An environment as it is written.',
  },
  {
    file: 'lib/config/configinput.ts',
    schema: configSchema,
    name: 'ConfigInput',
    comment: 'The configuration of the service as it is written in TypeScript.',
    imported: [
      environmentSchema,
      'EnvironmentInput',
      "import type { EnvironmentInput } from '../spec/environmentinput';\n",
    ],
  },
];

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

/** The interfaces of one file. */
class Interfaces {
  readonly #names: Map<z.ZodObject, string>;
  readonly #texts: string[] = [];

  constructor({ imported, schema, name, comment }: Output) {
    this.#names = new Map(imported === undefined ? [] : [[imported[0], imported[1]]]);
    this.#names.set(schema, name);
    this.#add(schema, `/** ${comment} */\nexport interface ${name}`);
  }

  get text(): string {
    return this.#texts.join('\n\n');
  }

  #add({ shape }: z.ZodObject, head: string): void {
    const fields = Object.entries(shape).map(([key, field]) => this.#fieldOf(key, field));
    this.#texts.push(`${head} {\n${fields.join('\n')}\n}`);
  }

  #fieldOf(name: string, field: z.core.$ZodType): string {
    const text = descriptionOf(field);
    if (text === undefined) throw new Error(`${name} has no description; add one with .describe()`);
    const type = this.#typeOf(field, capital(name));
    const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
    const own = z.safeParse(field, undefined).success
      ? `${key}?: ${type} | undefined`
      : `${key}: ${type}`;
    return `${commentOf(text)}\n${own};`;
  }

  #typeOf(schema: z.core.$ZodType, name: string): string {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodObject) {
      return this.#nameOf(inner, `${capital(kindOf(inner) ?? '')}${name}`);
    }
    if (inner instanceof z.ZodArray) return `(${this.#typeOf(inner.def.element, name)})[]`;
    if (inner instanceof z.ZodRecord) return this.#recordOf(inner, name);
    if (inner instanceof z.ZodUnion) {
      return either(inner.options.map((one) => this.#typeOf(one, optionName(inner, one, name))));
    }
    return plainType(inner, name);
  }

  #recordOf({ def }: z.ZodRecord, name: string): string {
    const key = this.#typeOf(def.keyType, name);
    const record = `Record<${key}, ${this.#typeOf(def.valueType, name)}>`;
    return key === 'string' ? record : `Partial<${record}>`;
  }

  #nameOf(object: z.ZodObject, wanted: string): string {
    const known = this.#names.get(object);
    if (known !== undefined) return known;
    const taken = new Set(this.#names.values());
    const name = taken.has(`${wanted}Input`)
      ? `${wanted}${this.#names.size}Input`
      : `${wanted}Input`;
    this.#names.set(object, name);
    this.#add(object, `interface ${name}`);
    return name;
  }
}

function plainType(schema: z.core.$ZodType, name: string): string {
  if (schema instanceof z.ZodEnum) return either(schema.options.map((one) => JSON.stringify(one)));
  if (schema instanceof z.ZodLiteral) {
    return either(schema.def.values.map((one) => JSON.stringify(one)));
  }
  if (schema instanceof z.ZodString || schema instanceof z.ZodISODate) return 'string';
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodBoolean) return 'boolean';
  if (schema instanceof z.ZodUnknown) return 'unknown';
  throw new Error(`${name}: no type is known for ${schema.constructor.name}; add it here`);
}

async function textOf(output: Output): Promise<string> {
  const { file, imported } = output;
  const options = await resolveConfig(file);
  const text = `${HEAD}${imported?.[2] ?? ''}\n${new Interfaces(output).text}\n`;
  return format(text, { ...options, filepath: file });
}

async function main(): Promise<void> {
  for (const output of OUTPUTS) {
    const file = join(__dirname, '..', output.file);
    const text = await textOf(output);
    if (!process.argv.includes('--check')) writeFileSync(file, text);
    else if (readFileSync(file, 'utf8') !== text) {
      console.error(`${output.file} is not what the schema says; run:`);
      console.error('npx tsx scripts/modelinput.ts');
      process.exitCode = 1;
    }
  }
}

void main();
