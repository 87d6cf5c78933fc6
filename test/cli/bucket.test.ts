import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchArtifact } from '../../cli/fetch/fetch';
import { bucketOf } from '../../lib/spec';

// A bucket's name becomes part of a host or of a path: nothing else may come with it.

const folder = mkdtempSync(join(tmpdir(), 'bucket-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NAMES = ['b', 'models', 'my-models.example_2', '0a', 'Old-Bucket', 'a'.repeat(222)];

const NO_NAMES = [
  '127.0.0.1#',
  '127.0.0.1',
  'evil.example.com#',
  'a?x=',
  'user@host',
  'host:80',
  'a..b',
  '.a',
  'a.',
  '-a',
  'a%23',
  'a\\b',
  'bücher',
  'a'.repeat(223),
];

test.each(NAMES)('%s is a valid bucket', (name) => {
  expect([bucketOf(`s3://${name}/key`), bucketOf(`gs://${name}`)]).toEqual([name, name]);
});

describe.each(['s3', 'gs'])('an invalid bucket: %s', (scheme) => {
  test.each(NO_NAMES)('is refused before any request: %s', async (name) => {
    const job = { uri: `${scheme}://${name}/x`, to: folder, as: 'x' };
    const fetching = fetchArtifact(job, { env: {}, log: () => undefined, pauseMs: 1 });
    await expect(fetching).rejects.toThrow('is not a bucket name');
  });
});

test('is refused with keys for Google’s store, too', async () => {
  const env = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
  const job = { uri: 'gs://127.0.0.1#/x', to: folder, as: 'x' };
  const fetching = fetchArtifact(job, { env, log: () => undefined, pauseMs: 1 });
  await expect(fetching).rejects.toThrow('is not a bucket name');
});
