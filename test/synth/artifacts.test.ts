/** @jest-environment ./test/support/onnx-environment.ts */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { objectsOf } from '../../lib/objects';
import type { FileContent } from '../../lib/spec';
import { DefinitionError, parseEnvironment } from '../../lib/spec';
import { bytesInMemory } from '../../lib/spec/filebytes';
import { MAX_ONNX_IR, MAX_ONNX_OPSET, onnxFile } from '../../lib/spec/onnxfile';
import { loadDefinition } from '../../lib/synth';
import { onnxBytes, WEIGHTS } from '../support/onnxbytes';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'artifacts-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

const DEFINITION = 'model_id: ext\nversion: "1"\nframework: onnx\nrepository_url: ./ext.onnx\n';

async function contentOf(more = ''): Promise<FileContent> {
  write({ 'ext.yaml': DEFINITION + more });
  const { spec } = await loadDefinition(join(folder, 'ext.yaml'));
  const content = spec.arms[0].source?.content;
  if (content === undefined) throw new Error('the file was not read');
  return content;
}

async function answer(model: Uint8Array): Promise<readonly number[]> {
  const session = await InferenceSession.create(model);
  const x = new Tensor('float32', Float32Array.of(1, 10), [1, 2]);
  const { y } = await session.run({ x });
  return Array.from((y?.data ?? []) as Float32Array);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('an ONNX model with its weights in other files', () => {
  test.each([
    ['beside it', { location: 'ext.onnx.data' }, 'ext.onnx.data', WEIGHTS],
    ['in a folder below', { location: 'w/ext.bin' }, 'w/ext.bin', WEIGHTS],
    [
      'at an offset',
      { location: 'all.data', offset: 64 },
      'all.data',
      Buffer.concat([Buffer.alloc(64), WEIGHTS, Buffer.alloc(64)]),
    ],
    ['of a constant node', { location: 'c.data', inAttribute: true }, 'c.data', WEIGHTS],
  ])('%s travels whole, and answers as if they stood in it', async (_, options, name, weights) => {
    write({ 'ext.onnx': onnxBytes(options), [name]: weights });
    const content = await contentOf();
    expect(await answer(content.bytes)).toEqual([31, 42]);
    expect(onnxFile(bytesInMemory(content.bytes)).external).toEqual([]);
    expect(content.sha256).toBe(sha256(content.bytes));
  });

  test('is in the ConfigMap, one file under its own name', async () => {
    write({ 'ext.onnx': onnxBytes({ location: 'ext.onnx.data' }), 'ext.onnx.data': WEIGHTS });
    write({ 'ext.yaml': DEFINITION });
    const { spec } = await loadDefinition(join(folder, 'ext.yaml'));
    const maps = objectsOf(spec, parseEnvironment()).map((one) => one['binaryData']);
    const [data] = maps.filter((one) => one !== undefined) as unknown as readonly Record<
      string,
      string
    >[];
    expect(Object.keys(data ?? {})).toEqual(['ext.onnx']);
    expect(await answer(Buffer.from(data?.['ext.onnx'] ?? '', 'base64'))).toEqual([31, 42]);
  });

  test('is too large together: the sentence counts the weights', async () => {
    const weights = Buffer.concat([WEIGHTS, Buffer.alloc(900_000)]);
    write({
      'ext.onnx': onnxBytes({ location: 'ext.onnx.data', length: weights.length }),
      'ext.onnx.data': weights,
      'ext.yaml': DEFINITION,
    });
    const { spec } = await loadDefinition(join(folder, 'ext.yaml'));
    expect(spec.arms[0].source?.content?.bytes.length).toBeGreaterThan(900_000);
    expect(() => objectsOf(spec, parseEnvironment())).toThrow(DefinitionError);
    expect(() => objectsOf(spec, parseEnvironment())).toThrow(
      /source: got "\.\/ext\.onnx \(900\d+ bytes, with the weights beside it\)?/,
    );
  });

  test('may be pinned by the digest of the file that its author sees', async () => {
    const model = onnxBytes({ location: 'ext.onnx.data' });
    write({ 'ext.onnx': model, 'ext.onnx.data': WEIGHTS });
    const text = DEFINITION.replace('./ext.onnx', `{ uri: ./ext.onnx, sha256: ${sha256(model)} }`);
    write({ 'ext.yaml': text });
    const { spec } = await loadDefinition(join(folder, 'ext.yaml'));
    expect(spec.arms[0].source?.content?.fileSha256).toBe(sha256(model));
  });
});

test('weights of more than 256 MiB are not joined in memory: the sentence says what to do', async () => {
  write({ 'ext.onnx': onnxBytes({ location: 'ext.data' }), 'ext.data': WEIGHTS });
  truncateSync(join(folder, 'ext.data'), 256 * 1024 * 1024);
  await expect(contentOf()).rejects.toThrow(
    /has 2684\d+ bytes with the weights beside it, and up to 256 MiB are joined into one file; save it in one file/,
  );
});

test('a model with its weights in it is carried byte for byte', async () => {
  const model = onnxBytes();
  write({ 'ext.onnx': model });
  const { bytes, sha256: digest } = await contentOf();
  expect([Buffer.from(bytes).equals(model), digest]).toEqual([true, sha256(model)]);
  expect(await answer(bytes)).toEqual([31, 42]);
});

test('the newest versions that are let through are the newest the ONNX Runtime loads', async () => {
  const loads = async (bytes: Uint8Array): Promise<boolean> =>
    InferenceSession.create(bytes).then(
      () => true,
      () => false,
    );
  expect(await loads(onnxBytes({ ir: MAX_ONNX_IR }))).toBe(true);
  expect(await loads(onnxBytes({ ir: MAX_ONNX_IR + 1 }))).toBe(false);
  expect(await loads(onnxBytes({ opset: MAX_ONNX_OPSET }))).toBe(true);
  expect(await loads(onnxBytes({ opset: MAX_ONNX_OPSET + 1 }))).toBe(false);
});
