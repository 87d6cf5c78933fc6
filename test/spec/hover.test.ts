import { join } from 'node:path';
import ts from 'typescript';
import { z } from 'zod';
import { modelSchema } from '../../lib/spec';
import { modelJsonSchema } from '../../lib/spec/jsonschema';
import { unwrap } from '../../lib/spec/walk';

// What an editor shows when the pointer rests on a field of a definition.

const ROOT = join(__dirname, '..', '..');
const FILE = join(ROOT, 'models', '__hover.ts');
const FIELDS = Object.keys(modelSchema.shape);
const INNER = ['health', 'inference'] as const;

function textOf(): string {
  const inner = (name: (typeof INNER)[number]): string => {
    const schema = unwrap(modelSchema.shape[name]);
    const keys = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
    return `${name}: { ${keys.map((key) => `${key}: 1 as never`).join(', ')} }`;
  };
  const all = FIELDS.map((name) => {
    const known = INNER.find((one) => one === name);
    return known === undefined ? `${name}: 1 as never` : inner(known);
  });
  return `import { defineModel } from '../lib/spec';\ndefineModel({ ${all.join(', ')} });\n`;
}

function documentationIn(text: string): (name: string) => string {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
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
  return (name) => {
    const place = text.indexOf(`${name}: `);
    return ts.displayPartsToString(service.getQuickInfoAtPosition(FILE, place)?.documentation);
  };
}

test('an editor shows the description of each field of a definition', () => {
  const documentation = documentationIn(textOf());
  const shown = FIELDS.map((name) => `${name} ${documentation(name) === '' ? '-' : 'shown'}`);
  const missing = shown.filter((line) => line.endsWith('-'));
  expect(missing).toEqual([]);
  const { properties } = modelJsonSchema()['else'] as {
    readonly properties: Readonly<Record<string, { readonly description?: string }>>;
  };
  for (const [name, { description }] of Object.entries(properties)) {
    expect(documentation(name)).toBe(description ?? documentation(name));
  }
  expect(documentation('startupSeconds')).toBe('Budget to load the model, in seconds.');
  expect(documentation('timeoutSeconds')).toBe('Deadline of one request, in seconds.');
});
