import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { planJsonSchema } from '../lib/plan/schema';

// Writes schema/plan.schema.json, the JSON that `plan --format json` and the management API write.
// With --check it writes nothing and fails when the file is not what the schema says.
const file = join(__dirname, '..', 'schema', 'plan.schema.json');
const text = `${JSON.stringify(planJsonSchema(), null, 2)}\n`;

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  console.error(
    'schema/plan.schema.json is not what lib/plan says; run: npx tsx scripts/plan-schema.ts',
  );
  process.exitCode = 1;
}
