import { join } from 'node:path';
import ts from 'typescript';
import { z } from 'zod';
import type { ConfigInput } from '../../lib/config';
import { configSchema } from '../../lib/config';
import type { EnvironmentInput, ModelInput } from '../../lib/spec';
import { environmentSchema, modelSchema } from '../../lib/spec';
import { descriptionOf, unwrap } from '../../lib/spec/walk';

// What an editor shows when the pointer rests on a field of a definition, an environment or a
// configuration.

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

/** A file with a constant for each object of the schema, with all its fields. */
class Constants {
  readonly fields: Field[] = [];
  text =
    "import type { EnvironmentInput, ModelInput } from '../lib/spec';\n" +
    "import type { ConfigInput } from '../lib/config';\n";
  #count = 0;

  constructor(readonly type: string) {}

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
      return `${JSON.stringify(name)}: ${value}`;
    });
    this.text += `const c${this.#count++}: ${this.type} = `;
    let place = this.text.length + wrap('\0').indexOf('\0') + '{ '.length;
    this.text += `${wrap(`{ ${values.join(', ')} }`)};\n`;
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

/** What is shown of each field, and what the schema says of it. */
function shownAndSaid(type: string, schema: z.ZodObject): readonly (readonly string[])[] {
  const constants = new Constants(type);
  constants.add(schema, '', (one) => one);
  const fields = constants.fields.filter(({ path }) => path !== SHARED);
  const documentation = documentationIn(constants.text);
  return [
    fields.map(({ path, place }) => `${path}: ${documentation(place)}`),
    fields.map(({ path, description }) => `${path}: ${description}`),
  ];
}

test.each<[string, z.ZodObject, string[]]>([
  [
    'ModelInput',
    modelSchema,
    [
      'health.startupSeconds: Budget to load the model, in seconds.',
      'inference.cohort.claim: Claim of the caller’s JWT whose value is hashed.',
      'candidates[].rollout.minRequests: Closed trials of the candidate per step at least.',
      'candidates[].server.maxModelLen: Context length, in tokens.',
      'scheduling.tolerations[].effect: Effect of the taint. Default: all of them.',
      'source.credentials.secret: Secret in the namespace of the model.',
      'env{}.key: Key of that Secret whose value the variable gets.',
    ],
  ],
  [
    'EnvironmentInput',
    environmentSchema,
    [
      'networkPolicy.from[].cidr: An address block, instead of labels.',
      'images.tensorflow-serving: TensorFlow Serving.',
      'defaultResources.gpu.count: Whole GPUs per replica.',
    ],
  ],
  [
    'ConfigInput',
    configSchema,
    [
      'server.tls.key: File with its private key.',
      'auth.keys[].scopes: Rights of the caller.',
      'kubernetes.environment.prices.cpuHour: Price of one core.',
    ],
  ],
])('an editor shows the description of each field of %s, at any depth', (type, schema, some) => {
  const [shown, said] = shownAndSaid(type, schema);
  expect(shown).toEqual(said);
  expect(shown).toEqual(expect.arrayContaining(some));
  expect(said?.filter((one) => one.endsWith(': none'))).toEqual([]);
});

type Same<A, B> = [A, B] extends [B, A] ? true : false;

test('the input types match the schemas', () => {
  const model: Same<ModelInput, z.input<typeof modelSchema>> = true;
  const environment: Same<EnvironmentInput, z.input<typeof environmentSchema>> = true;
  const config: Same<ConfigInput, z.input<typeof configSchema>> = true;
  expect([model, environment, config]).toEqual([true, true, true]);
});
