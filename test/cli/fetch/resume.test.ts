import { statSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Place, Store } from './support';
import { BYTES, digest, place, serveBytes, SHA, store } from './support';

// Downloads that are cut, stall, change meanwhile, or do not fit.

let here: Place;
let source: Store;

beforeEach(() => {
  here = place();
});
afterEach(async () => {
  await source.close();
  here.remove();
});

const JOB = { uri: 's3://b/m.onnx', as: 'm.onnx' };
const ONLY_MODEL = ['.artifact.json', 'm.onnx'];

/** Sends the beginning, waits until it is on disk, and cuts the connection. */
async function sendAndCut(response: ServerResponse, etag: string, bytes = 100_000): Promise<void> {
  response.writeHead(200, { 'content-length': BYTES.length, etag });
  response.write(BYTES.subarray(0, bytes));
  const part = join(here.folder, 'm.onnx.part');
  const size = (): number => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
  while (size() < bytes) await setTimeout(2);
  response.destroy();
}

test('requests the rest only of the same content, and appends it', async () => {
  source = await store((request, response) => {
    if (source.requests.length === 1) void sendAndCut(response, '"a"');
    else serveBytes(request, response, BYTES, '"a"');
  });
  await here.run({ ...JOB, endpoint: source.url });
  expect(here.read('m.onnx').equals(BYTES)).toBe(true);
  expect(source.requests.map(({ headers }) => [headers.range, headers['if-range']])).toEqual([
    [undefined, undefined],
    ['bytes=100000-', '"a"'],
  ]);
  expect(here.list()).toEqual(ONLY_MODEL);
});

test('loads an artifact that changed between two attempts from its beginning', async () => {
  const other = Buffer.from(BYTES.toReversed());
  source = await store((request, response) => {
    if (source.requests.length === 1) void sendAndCut(response, '"a"');
    else serveBytes(request, response, other, '"b"');
  });
  await here.run({ ...JOB, endpoint: source.url, sha256: digest(other) });
  expect(here.read('m.onnx').equals(other)).toBe(true);
});

test('detects by the entity tag that a store ignores the condition', async () => {
  const other = Buffer.from(BYTES.toReversed());
  source = await store((request, response) => {
    if (source.requests.length === 1) return void sendAndCut(response, '"a"');
    delete request.headers['if-range'];
    return serveBytes(request, response, other, '"b"');
  });
  await here.run({ ...JOB, endpoint: source.url });
  expect(here.read('m.onnx').equals(other)).toBe(true);
});

test('resumes the part of a killed run', async () => {
  writeFileSync(join(here.folder, 'm.onnx.part'), BYTES.subarray(0, 200_000));
  source = await store((request, response) => serveBytes(request, response, BYTES));
  await here.run({ ...JOB, endpoint: source.url, sha256: SHA });
  expect(source.requests.map(({ headers }) => headers.range)).toEqual(['bytes=200000-']);
  expect(here.read('m.onnx').equals(BYTES)).toBe(true);
});

test('loads a part anew that cannot be matched with this artifact', async () => {
  writeFileSync(join(here.folder, 'm.onnx.part'), 'of another one');
  source = await store((request, response) => serveBytes(request, response, BYTES));
  await here.run({ ...JOB, endpoint: source.url });
  expect(source.requests.map(({ headers }) => headers.range)).toEqual([undefined]);
  expect(here.read('m.onnx').equals(BYTES)).toBe(true);
});

test('loads once more when content from several requests has a wrong digest', async () => {
  writeFileSync(join(here.folder, 'm.onnx.part'), Buffer.alloc(1000, 'x'));
  source = await store((request, response) => serveBytes(request, response, BYTES));
  await here.run({ ...JOB, endpoint: source.url, sha256: SHA });
  expect(here.read('m.onnx').equals(BYTES)).toBe(true);
  expect(here.lines.join('\n')).toMatch(/digest mismatch.*loaded once more/);
});

test('only checks a part that is complete', async () => {
  writeFileSync(join(here.folder, 'm.onnx.part'), BYTES);
  source = await store((request, response) => serveBytes(request, response, BYTES));
  await here.run({ ...JOB, endpoint: source.url, sha256: SHA });
  expect(source.requests).toHaveLength(1);
  expect(here.list()).toEqual(ONLY_MODEL);
});

test('retries a source that falls silent', async () => {
  source = await store((request, response) => {
    if (source.requests.length > 1) return serveBytes(request, response, BYTES, '"a"');
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"a"' });
    response.write(BYTES.subarray(0, 1000));
    return undefined;
  });
  await here.run({ ...JOB, endpoint: source.url }, { silenceMs: 300 });
  expect(here.read('m.onnx').equals(BYTES)).toBe(true);
  expect(source.requests).toHaveLength(2);
});

test('waits as long as a busy source asks', async () => {
  source = await store((request, response) => {
    if (source.requests.length < 3) response.writeHead(503, { 'retry-after': '0' }).end();
    else serveBytes(request, response, BYTES);
  });
  await here.run({ ...JOB, endpoint: source.url });
  expect(here.lines.filter((line) => line.includes('503'))).toHaveLength(2);
});

test('gives up after six failures in a row', async () => {
  source = await store((_, response) => void response.writeHead(500).end());
  const failing = here.run({ ...JOB, endpoint: source.url });
  await expect(failing).rejects.toThrow(/m\.onnx: the source answered 500/);
  expect(source.requests).toHaveLength(6);
});

test('checks the free disk space before it writes', async () => {
  source = await store((request, response) => serveBytes(request, response, BYTES));
  const failing = here.run({ ...JOB, endpoint: source.url }, { free: async () => 1024 });
  await expect(failing).rejects.toThrow(/needs 293\.0 KiB, and \S+ has 1\.0 KiB free; give/);
  expect(here.list()).toEqual([]);
});

test('checks that all files of a folder fit before it loads the first', async () => {
  source = await store((_, response) => {
    const object = (key: string): string =>
      `<Contents><Key>v/${key}</Key><Size>800</Size></Contents>`;
    response.end(`<R>${object('a')}${object('b')}</R>`);
  });
  const failing = here.run({ uri: 's3://b/v', endpoint: source.url }, { free: async () => 1500 });
  await expect(failing).rejects.toThrow(/needs 1\.6 KiB/);
  expect(source.requests).toHaveLength(1);
});

test('does not load complete files again when a later one failed', async () => {
  let broken = true;
  source = await store((request, response) => {
    if (request.url?.includes('list-type')) {
      const object = (key: string): string =>
        `<Contents><Key>v/${key}</Key><ETag>&quot;${key}&quot;</ETag><Size>7</Size></Contents>`;
      return response.end(`<R>${object('a')}${object('b')}</R>`);
    }
    if (request.url?.endsWith('/b') && broken) return response.writeHead(403).end();
    return serveBytes(request, response, Buffer.from('content'));
  });
  const job = { uri: 's3://b/v', endpoint: source.url };
  await expect(here.run(job)).rejects.toThrow(/403/);
  broken = false;
  await here.run(job);
  const asked = source.requests.map(({ url }) => url).filter((url) => !url?.includes('list-type'));
  expect(asked).toEqual(['/b/v/a', '/b/v/b', '/b/v/b']);
  expect(here.list()).toEqual(['.artifact.json', 'a', 'b']);
});

test('logs progress and speed every ten seconds', async () => {
  source = await store((request, response) => serveBytes(request, response, BYTES));
  let time = 0;
  const now = (): number => (time += 4000);
  await here.run({ ...JOB, endpoint: source.url }, { now });
  expect(here.lines.find((line) => line.includes('%'))).toMatch(
    /^m\.onnx: [\d.]+ KiB of 293\.0 KiB \(\d+ %\), [\d.]+ KiB\/s$/,
  );
});
