import { generateKeyPairSync } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place, Store } from './support';
import { digest, place, serveBytes, store } from './support';

// What each kind of store asks of those who ask it.

let here: Place;
let source: Store;

beforeEach(() => {
  here = place();
});
afterEach(async () => {
  await source.close();
  here.remove();
});

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const TITLE = 'org.opencontainers.image.title';

interface Pushed {
  readonly mediaType: string;
  readonly content: string | Buffer;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A registry with one artifact, also reached through an index. */
function registry(layers: readonly Pushed[], platforms: readonly string[] = []) {
  const manifest = JSON.stringify({
    mediaType: MANIFEST,
    layers: layers.map(({ mediaType, content, annotations }) => ({
      mediaType,
      digest: `sha256:${digest(content)}`,
      size: content.length,
      annotations,
    })),
  });
  const manifests = platforms.map((architecture) => ({
    digest: `sha256:${architecture === 'other' ? '0'.repeat(64) : digest(manifest)}`,
    platform: { os: 'linux', architecture },
  }));
  const tagged =
    platforms.length === 0 ? manifest : JSON.stringify({ mediaType: INDEX, manifests });
  const blobs = new Map(layers.map(({ content }) => [digest(content), content]));
  return store((request, response) => {
    const [, kind = '', name = ''] = /\/v2\/m\/(\w+)\/(.+)$/.exec(request.url ?? '') ?? [];
    if (kind === 'blobs') {
      const blob = blobs.get(name.replace('sha256:', '')) ?? '';
      return serveBytes(request, response, Buffer.from(blob));
    }
    const wanted = name === '1' ? tagged : manifest;
    return response.end(name === `sha256:${'f'.repeat(64)}` ? `${manifest} ` : wanted);
  });
}

test('an OCI index leads to the manifest for this machine', async () => {
  const own = process.arch === 'x64' ? 'amd64' : process.arch;
  const file = { mediaType: 'application/octet-stream', content: 'weights' };
  source = await registry([{ ...file, annotations: { [TITLE]: 'm.bin' } }], ['other', own]);
  await here.run({ uri: 'oci://r.example.org/m:1', endpoint: source.url });
  expect(here.read('m.bin').toString()).toBe('weights');
});

test('a manifest requested by digest must have it', async () => {
  const file = { mediaType: 'application/octet-stream', content: 'weights' };
  source = await registry([file]);
  const uri = `oci://r.example.org/m@sha256:${'f'.repeat(64)}`;
  const failing = here.run({ uri, endpoint: source.url });
  await expect(failing).rejects.toThrow(/the registry or a proxy changed it/);
});

test('a folder packed by oras is unpacked, beside plain files', async () => {
  mkdirSync(join(here.folder, 'model'));
  writeFileSync(join(here.folder, 'model/x'), 'x');
  const content = execFileSync('tar', ['-cz', '-C', here.folder, 'model']);
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
  const annotations = { [TITLE]: 'model', 'io.deis.oras.content.unpack': 'true' };
  const readme = { mediaType: 'text/plain', content: 'read', annotations: { [TITLE]: 'a/R.md' } };
  source = await registry([{ mediaType, content, annotations }, readme]);
  const to = join(here.folder, 'to');
  await here.run({ uri: 'oci://r.example.org/m:1', endpoint: source.url, to });
  expect(readFileSync(join(to, 'model/x'), 'utf8')).toBe('x');
  expect(readFileSync(join(to, 'a/R.md'), 'utf8')).toBe('read');
});

test('a layer that names a file outside its folder is refused', async () => {
  const annotations = { [TITLE]: '../../evil' };
  source = await registry([{ mediaType: 'text/plain', content: 'x', annotations }]);
  const failing = here.run({ uri: 'oci://r.example.org/m:1', endpoint: source.url });
  await expect(failing).rejects.toThrow(/"\.\.\/\.\.\/evil".*outside its folder/);
});

test('a large repository of the hub is read page by page, from the given mirror', async () => {
  source = await store((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', source.url);
    if (!pathname.startsWith('/api/')) return response.end('x');
    const cursor = searchParams.get('cursor');
    const next = `<https://hub.invalid${pathname}?recursive=true&cursor=2>; rel="next"`;
    if (cursor === null) response.setHeader('link', next);
    const path = cursor === null ? 'a' : 'b c';
    return response.end(JSON.stringify([{ type: 'file', path, size: 1, oid: path }]));
  });
  await here.run({ uri: 'hf://org/name@v1', endpoint: source.url });
  expect(here.list()).toEqual(['.artifact.json', 'a', 'b c']);
});

test('the token of a role is exchanged for keys, which sign the requests', async () => {
  const token = join(here.folder, 'token');
  writeFileSync(token, 'signed-by-kubernetes\n');
  let asked = '';
  source = await store((request, response) => {
    if (request.method !== 'POST') return serveBytes(request, response, Buffer.from('x'));
    request.on('data', (chunk: Buffer) => (asked += chunk.toString()));
    return request.on('end', () =>
      response.end(
        '<R><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></R>',
      ),
    );
  });
  const env = {
    AWS_ROLE_ARN: 'arn:aws:iam::1:role/models',
    AWS_WEB_IDENTITY_TOKEN_FILE: token,
    AWS_ENDPOINT_URL_STS: `${source.url}/`,
  };
  await here.run({ uri: 's3://b/m', endpoint: source.url, as: 'm' }, { env });
  expect(new URLSearchParams(asked).get('WebIdentityToken')).toBe('signed-by-kubernetes');
  const headers = source.requests[1]?.headers;
  expect(headers?.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=ASIA1\//);
  expect(headers?.['x-amz-security-token']).toBe('t');
});

test('a service account of Google signs for a token, which all requests use', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  source = await store((request, response) => {
    if (request.method === 'POST') return response.end('{"access_token":"granted"}');
    if (request.headers.authorization !== 'Bearer granted') return response.writeHead(401).end();
    if (!request.url?.includes('list-type')) return response.end('x');
    return response.end('<R><Contents><Key>v/a</Key><Size>1</Size></Contents></R>');
  });
  const account = {
    client_email: 'fetch@example.org',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `${source.url}/token`,
  };
  const env = { GOOGLE_CREDENTIALS: JSON.stringify(account) };
  await here.run({ uri: 'gs://b/v', endpoint: source.url }, { env });
  expect(here.read('a').toString()).toBe('x');
  expect(source.requests.filter(({ method }) => method === 'POST')).toHaveLength(1);
});

test('an invalid key file is reported by name', async () => {
  source = await store(() => {});
  const env = { GOOGLE_CREDENTIALS: 'not-a-key' };
  const failing = here.run({ uri: 'gs://b/v', endpoint: source.url }, { env });
  await expect(failing).rejects.toThrow(/GOOGLE_CREDENTIALS is not JSON; put the whole key file/);
});

test('errors include the code of a refusal and the region of the bucket', async () => {
  source = await store((_, response) => {
    response.writeHead(400, { 'x-amz-bucket-region': 'cn-north-1' });
    response.end('<Error><Code>AuthorizationHeaderMalformed</Code><Key>secret</Key></Error>');
  });
  const failing = here.run({ uri: 's3://b/m', endpoint: source.url, as: 'm' });
  await expect(failing).rejects.toThrow(
    'm: the source answered 400 Bad Request (AuthorizationHeaderMalformed); the bucket is in cn-north-1: set AWS_REGION to that in the Secret',
  );
});

test('a listing that fails temporarily is retried', async () => {
  source = await store((request, response) => {
    if (source.requests.length === 1) return response.destroy();
    if (!request.url?.includes('list-type')) return response.end('x');
    return response.end('<R><Contents><Key>v/a</Key></Contents></R>');
  });
  await here.run({ uri: 's3://b/v', endpoint: source.url });
  expect(here.read('a').toString()).toBe('x');
});
