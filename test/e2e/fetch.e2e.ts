import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/sources';
import { until } from './service';
import type { RealStore } from './stores';
import { findMoto, findRegistry, started } from './stores';

// The built command against real stores: what an init container does.

const WEIGHTS = randomBytes(20_000_000);
const digest = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
const SHA = digest(WEIGHTS);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fetch-e2e-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function fetchCommand(args: readonly string[], env: NodeJS.ProcessEnv) {
  const bin = join(ROOT, 'build', 'bin.cjs');
  const child = spawn(
    process.execPath,
    [bin, 'fetch', ...args, '--to', folder, '--allow-host', '127.0.0.1'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...env },
    },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  }
  const done = new Promise<{ readonly code: number | null; readonly said: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, said }));
  });
  return { child, done };
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

const moto = findMoto();
const describeMoto = moto === undefined ? describe.skip : describe;

describeMoto('S3 (moto)', () => {
  let s3: RealStore;
  let env: NodeJS.ProcessEnv;

  /** Which service is meant, moto reads from the scope of a signature. */
  const scope = (service: string) => ({
    authorization: `AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
  });

  async function iam(action: string, fields: Readonly<Record<string, string>>): Promise<string> {
    const body = new URLSearchParams({ Action: action, Version: '2010-05-08', ...fields });
    return (await ask(`${s3.url}/`, { method: 'POST', body, headers: scope('iam') })).text();
  }

  beforeAll(async () => {
    s3 = await started(moto ?? '', ['-H', '127.0.0.1', '-p', '0'], {
      INITIAL_NO_AUTH_ACTION_COUNT: '1000',
    });
    const put = (path: string, body?: Buffer | string): Promise<Response> =>
      ask(`${s3.url}/${path}`, { method: 'PUT', body, headers: scope('s3') });
    await put('models');
    await put('models/v1/weights.bin', WEIGHTS);
    for (let index = 0; index < 3; index += 1)
      await put(`models/v1/sub/${index}%20%26.txt`, `${index}`);
    await iam('CreateUser', { UserName: 'reader' });
    const document = {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: ['s3:GetObject', 's3:ListBucket'], Resource: '*' }],
    };
    await iam('PutUserPolicy', {
      UserName: 'reader',
      PolicyName: 'read',
      PolicyDocument: JSON.stringify(document),
    });
    const keys = await iam('CreateAccessKey', { UserName: 'reader' });
    const one = (tag: string): string => new RegExp(`<${tag}>([^<]*)<`).exec(keys)?.[1] ?? '';
    env = {
      AWS_ACCESS_KEY_ID: one('AccessKeyId'),
      AWS_SECRET_ACCESS_KEY: one('SecretAccessKey'),
      AWS_ENDPOINT_URL_S3: s3.url,
    };
  });
  afterAll(() => s3.end());

  test('all files below a prefix are loaded, with any names', async () => {
    const { code, said } = await fetchCommand(['s3://models/v1'], env).done;
    expect([code, said]).toEqual([0, expect.stringContaining('weights.bin')]);
    expect(readdirSync(join(folder, 'sub')).sort()).toEqual(['0 &.txt', '1 &.txt', '2 &.txt']);
    expect(readFileSync(join(folder, 'sub/2 &.txt'), 'utf8')).toBe('2');
    expect(digest(readFileSync(join(folder, 'weights.bin')))).toBe(SHA);
  });

  describe('with signatures and policies enforced', () => {
    // Not of listings: moto computes theirs from a decoded query, in which %2F has become a slash.
    beforeAll(() => ask(`${s3.url}/moto-api/reset-auth`, { method: 'POST', body: '0' }));

    test('one file gets the name of the server, with the digest checked', async () => {
      const args = ['s3://models/v1/weights.bin', '--as', 'model.onnx', '--sha256', SHA];
      const { code, said } = await fetchCommand(args, env).done;
      expect([code, said]).toEqual([0, expect.stringMatching(/^s3:\S+: weights\.bin\n$/)]);
      expect(digest(readFileSync(join(folder, 'model.onnx')))).toBe(SHA);
    });

    test('a wrong secret is refused by the store, and the message has the place to look', async () => {
      const wrong = { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' };
      const { code, said } = await fetchCommand(['s3://models/v1/weights.bin', '--as', 'm'], wrong)
        .done;
      expect(code).toBe(1);
      expect(said).toMatch(/403 \S+ \(SignatureDoesNotMatch\); check source\.credentials/);
    });

    test('a missing object is reported without retries', async () => {
      const { code, said } = await fetchCommand(['s3://models/none', '--as', 'm'], env).done;
      expect(code).toBe(1);
      expect(said).toMatch(/none: the source answered 404 .*\(NoSuchKey\); check the URI/);
      expect(said).not.toMatch(/try 2/);
    });

    test('a wrong digest is the last line, for the termination message', async () => {
      const args = ['s3://models/v1/weights.bin', '--as', 'm', '--sha256', '0'.repeat(64)];
      const { code, said } = await fetchCommand(args, env).done;
      expect(code).toBe(1);
      const last = said.trim().split('\n').at(-1);
      expect(last).toMatch(
        new RegExp(`artifact digest mismatch: got sha256 ${SHA}, must be 0{64};`),
      );
    });

    test('a load interrupted by a kill is resumed by the next container', async () => {
      const part = join(folder, 'm.part');
      const args = ['s3://models/v1/weights.bin', '--as', 'm', '--sha256', SHA];
      const { child, done } = fetchCommand(args, env);
      const size = (): number => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
      await until('bytes come', size, (bytes) => bytes > 0);
      child.kill('SIGKILL');
      await done;
      // However far it came, the rest is asked for: cut to a place that is certain.
      writeFileSync(part, readFileSync(part).subarray(0, Math.max(1, Math.min(size(), 1_000_000))));
      expect(await fetchCommand(args, env).done).toMatchObject({ code: 0 });
      expect(digest(readFileSync(join(folder, 'm')))).toBe(SHA);
    });
  });
});

const registryBin = findRegistry();
const describeRegistry = registryBin === undefined ? describe.skip : describe;

describeRegistry('an OCI registry (go-containerregistry)', () => {
  let registry: RealStore;
  let manifestDigest: string;

  async function push(content: Buffer | string): Promise<{ digest: string; size: number }> {
    const opened = await ask(`${registry.url}/v2/models/m/blobs/uploads/`, { method: 'POST' });
    const place = new URL(opened.headers.get('location') ?? '', registry.url);
    const sha256 = `sha256:${digest(content)}`;
    place.searchParams.set('digest', sha256);
    await ask(place.href, { method: 'PUT', body: content });
    return { digest: sha256, size: content.length };
  }

  beforeAll(async () => {
    registry = await started(registryBin ?? '', ['-port', '0']);
    const title = (name: string) => ({ 'org.opencontainers.image.title': name });
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', ...(await push('{}')) },
      layers: [
        {
          mediaType: 'application/octet-stream',
          ...(await push(WEIGHTS)),
          annotations: title('w.bin'),
        },
        { mediaType: 'text/plain', ...(await push('read')), annotations: title('doc/README.md') },
      ],
    });
    manifestDigest = `sha256:${digest(manifest)}`;
    const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
    await ask(`${registry.url}/v2/models/m/manifests/1`, {
      method: 'PUT',
      body: manifest,
      headers,
    });
  });
  afterAll(() => registry.end());

  const argsFor = (reference: string): readonly string[] => [
    `oci://registry.example.org/models/m${reference}`,
    '--endpoint',
    registry.url,
  ];

  test('the files of an artifact are loaded by tag', async () => {
    expect(await fetchCommand(argsFor(':1'), {}).done).toMatchObject({ code: 0 });
    expect(digest(readFileSync(join(folder, 'w.bin')))).toBe(SHA);
    expect(readFileSync(join(folder, 'doc/README.md'), 'utf8')).toBe('read');
  });

  test('they are loaded by digest, and a second start loads nothing', async () => {
    const args = argsFor(`@${manifestDigest}`);
    expect(await fetchCommand(args, {}).done).toMatchObject({ code: 0 });
    const again = await fetchCommand(args, {}).done;
    expect(again).toMatchObject({ code: 0, said: expect.stringContaining('loaded already') });
  });

  test('a missing tag is reported', async () => {
    const { code, said } = await fetchCommand(argsFor(':none'), {}).done;
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/404 .*MANIFEST_UNKNOWN.*check the URI/),
    ]);
  });
});
