import { join } from 'node:path';
import ts from 'typescript';
import { z } from 'zod';
import type { ModelInput } from '../../lib/spec';
import { modelSchema } from '../../lib/spec';
import { descriptionOf, unwrap } from '../../lib/spec/walk';

// What an editor shows when the pointer rests on a field of a definition.

const ROOT = join(__dirname, '..', '..');
const FILE = join(ROOT, 'models', '__hover.ts');

/** TypeScript shows nothing of a field that the options of a union share, when no kind tells them apart. */
const SHARED = 'inference.cohort.salt';

interface Field {
  readonly path: string;
  readonly description: string;
  /** Where its name stands in the text. */
  readonly place: number;
}

type Wrap = (inner: string) => string;

/** A file with a definition for each object of the schema, with all its fields. */
class Definitions {
  readonly fields: Field[] = [];
  text = "import { defineModel } from '../lib/spec';\n";

  add(schema: z.core.$ZodType, path: string, wrap: Wrap): void {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodObject) this.#object(inner, path, wrap);
    if (inner instanceof z.ZodArray) {
      this.add(inner.def.element, `${path}[]`, (one) => wrap(`[${one}]`));
    }
    if (inner instanceof z.ZodRecord) {
      this.add(inner.def.valueType, `${path}{}`, (one) => wrap(`{ key: ${one} }`));
    }
    if (inner instanceof z.ZodUnion) {
      inner.options.forEach((one: z.core.$ZodType) => this.add(one, path, wrap));
    }
  }

  #object({ shape }: z.ZodObject, path: string, wrap: Wrap): void {
    const values = Object.entries(shape).map(([name, field]) => {
      const value = field instanceof z.ZodLiteral ? JSON.stringify(field.value) : '1 as never';
      return `${name}: ${value}`;
    });
    const start = this.text.length;
    this.text += `defineModel(${wrap(`{ ${values.join(', ')} }`)});\n`;
    const before = wrap('\0').indexOf('\0') + 'defineModel({ '.length;
    let place = start + before;
    Object.entries(shape).forEach(([name, field], index) => {
      const own = path === '' ? name : `${path}.${name}`;
      this.fields.push({ path: own, description: descriptionOf(field) ?? 'none', place });
      place += (values[index] ?? '').length + 2;
      this.add(field, own, (one) => wrap(`{ ${name}: ${one} }`));
    });
  }
}

/** One language service, without the types of the packages that the project knows beside zod. */
function documentationIn(text: string): (place: number) => string {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.Node20,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts'],
    types: [],
    strict: true,
    skipLibCheck: true,
  };
  const service = ts.createLanguageService({
    getCompilationSettings: () => options,
    getScriptFileNames: () => [FILE],
    getScriptVersion: () => '1',
    getScriptSnapshot: (file) => {
      const content = file === FILE ? text : ts.sys.readFile(file);
      return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content);
    },
    getCurrentDirectory: () => ROOT,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (file) => file === FILE || ts.sys.fileExists(file),
    readFile: (file) => (file === FILE ? text : ts.sys.readFile(file)),
  });
  return (place) =>
    ts
      .displayPartsToString(service.getQuickInfoAtPosition(FILE, place)?.documentation)
      .replaceAll(/\s+/g, ' ');
}

test('an editor shows the description of each field of a definition, at any depth', () => {
  const definitions = new Definitions();
  definitions.add(modelSchema, '', (one) => one);
  const { text } = definitions;
  const fields = definitions.fields.filter(({ path }) => path !== SHARED);
  const documentation = documentationIn(text);
  const shown = fields.map(({ path, place }) => `${path}: ${documentation(place)}`);
  expect(shown).toEqual(fields.map(({ path, description }) => `${path}: ${description}`));
  expect(shown).toEqual(
    expect.arrayContaining([
      'health.startupSeconds: Budget to load the model, in seconds.',
      'inference.cohort.claim: Claim of the caller’s JWT whose value is hashed.',
      'candidates[].rollout.minRequests: Requests per step at least.',
      'candidates[].server.maxModelLen: Context length, in tokens.',
      'scheduling.tolerations[].effect: Effect of the taint. Default: all of them.',
      'source.credentials.secret: Secret in the namespace of the model.',
      'env{}.key: Key of that Secret whose value the variable gets.',
    ]),
  );
});

type Same<A, B> = [A, B] extends [B, A] ? true : false;

test('the type of what an author writes is what the schema takes', () => {
  const same: Same<ModelInput, z.input<typeof modelSchema>> = true;
  expect(same).toBe(true);
});
