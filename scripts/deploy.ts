import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deployFiles } from './deploy-files';

// Writes deploy/kubernetes/*.k8s.yaml, the service as ModelService renders it.
// With --check it writes nothing and fails when a file is not what the construct says.
const folder = join(__dirname, '..', 'deploy', 'kubernetes');
const files = deployFiles();
mkdirSync(folder, { recursive: true });

if (!process.argv.includes('--check')) {
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
} else {
  const found = readdirSync(folder).filter((name) => name.endsWith('.k8s.yaml'));
  const wrong = [...new Set([...files.keys(), ...found])].filter(
    (name) => !found.includes(name) || readFileSync(join(folder, name), 'utf8') !== files.get(name),
  );
  if (wrong.length > 0) {
    console.error(
      `deploy/kubernetes: ${wrong.join(', ')}: not what ModelService renders; run: npx tsx scripts/deploy.ts`,
    );
    process.exitCode = 1;
  }
}
