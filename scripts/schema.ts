import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelJsonSchema } from '../lib/spec/jsonschema';

// Writes schema/model.schema.json, which editors use for YAML and JSON definitions.
// With --check it writes nothing and fails when the file is not what the schema says.
const file = join(__dirname, '..', 'schema', 'model.schema.json');
const text = `${JSON.stringify(modelJsonSchema(), null, 2)}\n`;

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  console.error(
    'schema/model.schema.json is not what lib/spec says; run: npx tsx scripts/schema.ts',
  );
  process.exitCode = 1;
}
