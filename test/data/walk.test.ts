import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { walkOf, WALKED_CALLS } from '../support/walk';

const ARCHITECTURE = readFileSync(join(__dirname, '..', '..', 'ARCHITECTURE.md'), 'utf8');

const FEATURES = /^(?:data\/(?:batching|shadow)\/|core\/routing\/batching)/;

test.each(WALKED_CALLS)('$name: no more frames than ARCHITECTURE.md counts', async (call) => {
  const [, counted] =
    new RegExp(`\\| ${call.name} +\\| \\d+ +\\| (\\d+) `).exec(ARCHITECTURE) ?? [];
  const { files, frames } = await walkOf(call);
  expect(frames.length).toBeLessThanOrEqual(Number(counted));
  // Calls that use neither run no code of batching and shadows.
  const isBatched = call.name.includes('batched');
  expect(files.some((file) => FEATURES.test(file))).toBe(isBatched);
});
