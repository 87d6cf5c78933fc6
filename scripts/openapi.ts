import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiDocument } from '../runtime/control/openapi/document';

/** Writes openapi.json; `--check` only compares and exits with 1 when it is not up to date. */
const file = join(__dirname, '..', 'openapi.json');
const text = `${JSON.stringify(openApiDocument(), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== text) {
    console.error('openapi.json is not up to date; run: npx tsx scripts/openapi.ts');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, text);
}
