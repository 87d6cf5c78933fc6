import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { FetchJob } from '../../../cli/fetch/fetch';
import { fetchArtifact } from '../../../cli/fetch/fetch';
import { parseHf } from '../../../cli/fetch/hf';
import { parseOci } from '../../../cli/fetch/oci';
import { LOOPBACK } from './support';

const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
const SHA = createHash('sha256').update(BYTES).digest('hex');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let folder: string;
let server: Server;
let handler: Handler;
let base: string;
let asked: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fetch-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? ''}`.trim());
    handler(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  rmSync(folder, { recursive: true, force: true });
});

const run = (
  job: Partial<FetchJob> & { uri: string },
  env: NodeJS.ProcessEnv = {},
): Promise<void> =>
  fetchArtifact(
    { to: folder, allowHost: LOOPBACK, ...job },
    { env, log: () => undefined, pauseMs: 1 },
  );

/** Answers a range as a store does. */
function serve(response: ServerResponse, bytes: Buffer, range = ''): void {
  const from = Number(/bytes=(\d+)-/.exec(range)?.[1] ?? 0);
  const place = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(from > 0 ? 206 : 200, from > 0 ? place : {}).end(bytes.subarray(from));
}

test('copies a file, checks it, and does not copy it again', async () => {
  const file = join(folder, 'a.onnx');
  writeFileSync(file, BYTES);
  const to = join(folder, 'out');
  await run({ uri: `file://${file}`, to, as: 'model.onnx', sha256: SHA });
  expect(readFileSync(join(to, 'model.onnx')).equals(BYTES)).toBe(true);
  rmSync(file);
  await run({ uri: `file://${file}`, to, as: 'model.onnx', sha256: SHA });
});

test('resumes a download that breaks', async () => {
  const partWritten = async (): Promise<void> => {
    const part = join(folder, 'm.onnx.part');
    while (!existsSync(part) || statSync(part).size === 0) await setTimeout(5);
  };
  let cut = true;
  handler = (request, response) => {
    if (!cut) return serve(response, BYTES, request.headers.range);
    cut = false;
    response.writeHead(200, { 'content-length': BYTES.length });
    response.write(BYTES.subarray(0, 100_000));
    void partWritten().then(() => response.destroy());
  };
  await run({ uri: 's3://b/m.onnx', endpoint: base, as: 'm.onnx', sha256: SHA });
  expect(readFileSync(join(folder, 'm.onnx')).equals(BYTES)).toBe(true);
  expect(asked).toHaveLength(2);
  expect(asked[1]).toMatch(/^\/b\/m\.onnx bytes=\d+-$/);
});

test('removes a file with a wrong digest and reports both digests', async () => {
  handler = (_, response) => serve(response, BYTES);
  const wanted = '0'.repeat(64);
  const failing = run({ uri: 's3://b/m.onnx', endpoint: base, as: 'm.onnx', sha256: wanted });
  await expect(failing).rejects.toThrow(`got sha256 ${SHA}, must be ${wanted}`);
  expect(existsSync(join(folder, 'm.onnx'))).toBe(false);
  expect(existsSync(join(folder, 'm.onnx.part'))).toBe(false);
});

test('does not retry a refusal, and reports where to look', async () => {
  handler = (_, response) => response.writeHead(403).end();
  const failing = run({ uri: 's3://b/m.onnx', endpoint: base, as: 'm.onnx' });
  await expect(failing).rejects.toThrow(/answered 403.*source\.credentials/);
  expect(asked).toHaveLength(1);
});

test('loads all files below an S3 prefix, over several pages, with signed requests', async () => {
  const signed: (string | undefined)[] = [];
  handler = (request, response) => {
    signed.push(request.headers.authorization);
    const url = new URL(request.url ?? '', base);
    if (url.searchParams.get('list-type') !== '2')
      return serve(response, Buffer.from(url.pathname));
    const second = url.searchParams.has('continuation-token');
    const key = second ? 'v1/b&amp;c.bin' : 'v1/sub/a.bin';
    const next = second ? '' : '<NextContinuationToken>x=</NextContinuationToken>';
    response.end(`<R><Contents><Key>${key}</Key></Contents>${next}</R>`);
  };
  const env = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'eu-west-1' };
  await run({ uri: 's3://bucket/v1', endpoint: base }, env);
  expect(readFileSync(join(folder, 'sub/a.bin'), 'utf8')).toBe('/bucket/v1/sub/a.bin');
  expect(readFileSync(join(folder, 'b&c.bin'), 'utf8')).toBe('/bucket/v1/b%26c.bin');
  expect(signed.every((one) => one?.startsWith('AWS4-HMAC-SHA256 Credential=id/'))).toBe(true);
});

test('loads a repository of the hub with the digests of the hub', async () => {
  const right = createHash('sha256').update('weights').digest('hex');
  handler = (request, response) => {
    if (request.url?.startsWith('/api/')) {
      const files = [
        { type: 'directory', path: 'x' },
        { type: 'file', path: 'config.json' },
        { type: 'file', path: 'x/model.bin', lfs: { oid: right } },
      ];
      response.end(JSON.stringify(files));
    } else response.end(request.url?.endsWith('.bin') ? 'weights' : '{}');
  };
  await run({ uri: 'hf://org/name@v1', endpoint: base }, { HF_TOKEN: 't' });
  expect(readFileSync(join(folder, 'x/model.bin'), 'utf8')).toBe('weights');
  expect(asked).toContain('/org/name/resolve/v1/x/model.bin');
});

test('loads an OCI artifact with a token of the registry', async () => {
  const digest = createHash('sha256').update('weights').digest('hex');
  handler = (request, response) => {
    if (request.url?.startsWith('/token')) return response.end('{"token":"t"}');
    if (request.headers.authorization !== 'Bearer t') {
      const challenge = `Bearer realm="${base}/token",service="s",scope="repository:m:pull"`;
      return response.writeHead(401, { 'www-authenticate': challenge }).end();
    }
    if (request.url?.includes('/blobs/')) return response.end('weights');
    const annotations = { 'org.opencontainers.image.title': 'model.onnx' };
    const layer = {
      mediaType: 'application/octet-stream',
      digest: `sha256:${digest}`,
      annotations,
    };
    return response.end(JSON.stringify({ layers: [layer] }));
  };
  await run({ uri: 'oci://registry.example.org/m:1', endpoint: base });
  expect(readFileSync(join(folder, 'model.onnx'), 'utf8')).toBe('weights');
});

test('unpacks archives, and refuses one that would write elsewhere', async () => {
  mkdirSync(join(folder, 'in/variables'), { recursive: true });
  writeFileSync(join(folder, 'in/variables/x'), 'v');
  execFileSync('tar', ['-czf', 'ok.tar.gz', '-C', 'in', '.'], { cwd: folder });
  const to = join(folder, 'out');
  await run({ uri: `file://${folder}/ok.tar.gz`, to, unpack: true });
  expect(readFileSync(join(to, 'variables/x'), 'utf8')).toBe('v');
  execFileSync('tar', ['-czPf', 'evil.tar.gz', '--transform', 's,^in,../../evil,', 'in'], {
    cwd: folder,
  });
  const evil = run({ uri: `file://${folder}/evil.tar.gz`, to: join(folder, 'o2'), unpack: true });
  await expect(evil).rejects.toThrow(/outside its folder/);
});

test('waits until the artifact is there, or reports that it did not come', async () => {
  const to = join(folder, 'shared');
  const waiting = run({ uri: 's3://b/x', to, wait: 30 });
  mkdirSync(to);
  writeFileSync(join(to, '.artifact.json'), '{}');
  await waiting;
  rmSync(to, { recursive: true });
  await expect(run({ uri: 's3://b/x', to, wait: 0 })).rejects.toThrow(/was not loaded within 0 s/);
});

test.each([
  ['hf://org/name', { name: 'org/name', revision: 'main', path: '' }],
  ['hf://org/name@abc/sub/m.bin', { name: 'org/name', revision: 'abc', path: 'sub/m.bin' }],
])('parses the repository %s', (uri, parsed) => {
  expect(parseHf(uri)).toEqual(parsed);
});

test('refuses an OCI reference without tag and digest', () => {
  expect(() => parseOci('oci://r.example.org/m')).toThrow(/:tag/);
  expect(parseOci('oci://r.example.org:5000/a/b:1')).toMatchObject({ host: 'r.example.org:5000' });
});
