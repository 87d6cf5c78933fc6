// Writes the types of what authors write (definitions, environments, configurations) from their
// schemas, with each field's description as its comment. What zod infers has no comments in the
// published types.
//   npx tsx scripts/modelinput.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
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
}

/** What one file has, those after it import from it. */
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
  readonly names = new Map<z.ZodObject, string>();
  /** Names that other files import, and those that are imported, by their file. */
  readonly exported: Set<string>;
  readonly #imported = new Map<Interfaces, string[]>();
  readonly #bodies: (readonly [name: string, body: string])[] = [];

  constructor(
    private readonly output: Output,
    private readonly before: readonly Interfaces[],
  ) {
    this.exported = new Set([output.name]);
    this.names.set(output.schema, output.name);
    this.#add(output.schema, output.name);
  }

  get text(): string {
    const { name: root, comment, file } = this.output;
    const imports = [...this.#imported].map(([{ output }, names]) => {
      const path = relative(dirname(file), output.file).replace(/\.ts$/, '');
      return `import type { ${names.join(', ')} } from '${path.startsWith('.') ? path : `./${path}`}';\n`;
    });
    const interfaces = this.#bodies.map(([name, body]) => {
      const head = name === root ? `/** ${comment} */\n` : '';
      return `${head}${this.exported.has(name) ? 'export ' : ''}interface ${name} ${body}`;
    });
    return `${HEAD}${imports.join('')}\n${interfaces.join('\n\n')}\n`;
  }

  #add({ shape }: z.ZodObject, name: string): void {
    const fields = Object.entries(shape).map(([key, field]) => this.#fieldOf(key, field));
    this.#bodies.push([name, `{\n${fields.join('\n')}\n}`]);
  }

  /** The name of an object that an earlier file has. */
  #importOf(object: z.ZodObject): string | undefined {
    const owner = this.before.find(({ names }) => names.has(object));
    const name = owner?.names.get(object);
    if (owner === undefined || name === undefined) return undefined;
    owner.exported.add(name);
    this.#imported.set(owner, [...(this.#imported.get(owner) ?? []), name].sort());
    return name;
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
    const known = this.names.get(object);
    if (known !== undefined) return known;
    const taken = new Set(this.names.values());
    const imported = this.#importOf(object);
    const own = taken.has(`${wanted}Input`) ? `${wanted}${this.names.size}Input` : `${wanted}Input`;
    const name = imported ?? own;
    if (imported !== undefined && taken.has(imported))
      throw new Error(`${imported} of an earlier file and one of ${this.output.file} clash`);
    this.names.set(object, name);
    if (imported === undefined) this.#add(object, name);
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

async function main(): Promise<void> {
  const files: Interfaces[] = [];
  for (const output of OUTPUTS) files.push(new Interfaces(output, [...files]));
  for (const [at, output] of OUTPUTS.entries()) {
    const file = join(__dirname, '..', output.file);
    const options = await resolveConfig(output.file);
    const text = await format(files[at]?.text ?? '', { ...options, filepath: output.file });
    if (!process.argv.includes('--check')) writeFileSync(file, text);
    else if (readFileSync(file, 'utf8') !== text) {
      console.error(`${output.file} is not what the schema says; run:`);
      console.error('npx tsx scripts/modelinput.ts');
      process.exitCode = 1;
    }
  }
}

void main();
