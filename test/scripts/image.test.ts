import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RUNTIME_UID } from '../../lib/objects/security';
import { ROOT } from '../support/sources';

// What the Dockerfile repeats in its own words. That the image works is proven by scripts/check-image.sh.

const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const dockerfile = readText('Dockerfile');

test('the image runs as the user of the manifests', () => {
  expect(dockerfile).toContain(`\nUSER ${RUNTIME_UID}:${RUNTIME_UID}\n`);
  expect(dockerfile).toContain(`app:x:${RUNTIME_UID}:${RUNTIME_UID}:`);
});

test('the labels of the image are those of package.json', () => {
  const { name, description, version, license } = JSON.parse(readText('package.json'));
  const labels = dockerfile.matchAll(/org\.opencontainers\.image\.(\w+)="([^"]*)"/g);
  expect(Object.fromEntries([...labels].map(([, key, value]) => [key, value]))).toEqual({
    title: name.split('/')[1],
    description,
    version,
    licenses: license,
  });
});
