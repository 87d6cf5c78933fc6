/** @jest-environment ./test/support/onnx-environment.ts */
import { createHash } from 'node:crypto';
import fs, { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { objectsOf } from '../../lib/objects';
import type { FileContent } from '../../lib/spec';
import { DefinitionError, parseEnvironment } from '../../lib/spec';
import { bytesInMemory } from '../../lib/spec/filebytes';
import { varintBytes } from '../../lib/spec/protobuf';
import { MAX_ONNX_IR, MAX_ONNX_OPSET, onnxFile } from '../../lib/spec/onnxfile';
import { loadDefinition } from '../../lib/synth';
import { filesBeside, inTurns, modelPieces, streamed } from '../../lib/synth/modelfile';
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
  ])(
    '%s is transferred whole, and answers as with its weights inside',
    async (_, options, name, weights) => {
      write({ 'ext.onnx': onnxBytes(options), [name]: weights });
      const content = await contentOf();
      expect(await answer(content.bytes)).toEqual([31, 42]);
      expect((await inTurns(onnxFile(bytesInMemory(content.bytes)))).external).toEqual([]);
      expect(content.sha256).toBe(sha256(content.bytes));
    },
  );

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

  test('that is too large together is refused, with the weights counted', async () => {
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

  test('may be pinned by the digest of the model file', async () => {
    const model = onnxBytes({ location: 'ext.onnx.data' });
    write({ 'ext.onnx': model, 'ext.onnx.data': WEIGHTS });
    const text = DEFINITION.replace('./ext.onnx', `{ uri: ./ext.onnx, sha256: ${sha256(model)} }`);
    write({ 'ext.yaml': text });
    const { spec } = await loadDefinition(join(folder, 'ext.yaml'));
    expect(spec.arms[0].source?.content?.fileSha256).toBe(sha256(model));
  });
});

test('more than the limit of one ONNX file is not joined, with the correction', async () => {
  const length = 2 ** 31;
  write({ 'ext.onnx': onnxBytes({ location: 'ext.data', length }), 'ext.data': WEIGHTS });
  truncateSync(join(folder, 'ext.data'), length);
  await expect(contentOf()).rejects.toThrow(
    /has 21474\d+ bytes with the weights beside it, and one file of ONNX has at most 2 GiB; put the folder/,
  );
});

test.each([
  ['a negative offset', { offset: -1 }, 'is cut off'],
  ['a negative length', { length: -1 }, 'is cut off'],
  ['too great a length', { length: 17 }, 'is cut off'],
])('weights at %s are refused', async (_, place, words) => {
  write({ 'ext.onnx': onnxBytes({ location: 'ext.data', ...place }), 'ext.data': WEIGHTS });
  await expect(contentOf()).rejects.toThrow(words);
});

describe('a large model', () => {
  const MIB = 1024 * 1024;
  const weights = Buffer.alloc(9 * MIB, 7);
  const external = onnxBytes({ location: 'ext.data', length: weights.length });

  test('is read, hashed and joined with its weights in slices of a mebibyte', async () => {
    write({ 'ext.onnx': external, 'ext.data': weights });
    const read = jest.spyOn(fs, 'readSync');
    const { size, sha256: digest, fileSha256, pieces } = await contentOf();
    const parts: Uint8Array[] = [];
    for await (const part of pieces?.() ?? []) parts.push(part);
    const longest = Math.max(...read.mock.results.map(({ value }) => Number(value)));
    read.mockRestore();
    expect([longest, parts.length > 9]).toEqual([MIB, true]);
    const whole = Buffer.concat(parts);
    expect([digest, fileSha256, size]).toEqual([sha256(whole), sha256(external), whole.length]);
    expect(whole.includes(weights)).toBe(true);
    expect((await inTurns(onnxFile(bytesInMemory(whole)))).external).toEqual([]);
  });

  test('leaves the event loop free after each slice', async () => {
    write({ 'ext.onnx': external, 'ext.data': weights });
    const path = join(folder, 'ext.onnx');
    const found = await modelPieces(path, 'onnx', filesBeside(path));
    if ('problem' in found) throw new Error(found.problem);
    let turns = 0;
    const turn = async (): Promise<void> => void (turns += 1);
    for await (const part of streamed(found.pieces, turn)) {
      expect(part.length).toBeLessThanOrEqual(MIB);
    }
    expect([found.isJoined, turns]).toEqual([true, 9 + found.pieces.length - 1]);
    expect(found.pieces.length).toBeLessThan(10);
  });

  test('that became shorter meanwhile is an error', async () => {
    write({ 'ext.onnx': external, 'ext.data': weights });
    const { pieces } = await contentOf();
    truncateSync(join(folder, 'ext.data'), MIB);
    const all = async (): Promise<void> => {
      for await (const part of pieces?.() ?? []) expect(part).toBeDefined();
    };
    await expect(all()).rejects.toThrow('became shorter');
  });
});

describe('a file made to be slow to read', () => {
  /** A graph of so many nodes, tensors or whatever else stands in it as a field. */
  const graphOf = (field: Uint8Array, count: number): Buffer => {
    const graph = Buffer.concat(Array.from({ length: count }, () => field));
    return Buffer.concat([Buffer.from([0x08, 8, 0x3a]), varintBytes(graph.length), graph]);
  };

  test('leaves the event loop free, and shows names up to a length', async () => {
    const bytes = graphOf(Buffer.from([0x0a, 2, 0x22, 0]), 50_000);
    let turns = 0;
    const turn = async (): Promise<void> => void (turns += 1);
    expect(await inTurns(onnxFile(bytesInMemory(bytes)), turn)).toMatchObject({ hasGraph: true });
    expect(turns).toBeGreaterThanOrEqual(24);
    const name = Buffer.alloc(200_000, 'n');
    const tensor = Buffer.concat([Buffer.from([0x70, 1, 0x42]), varintBytes(name.length), name]);
    const field = Buffer.concat([Buffer.from([0x2a]), varintBytes(tensor.length), tensor]);
    const { external } = await inTurns(onnxFile(bytesInMemory(graphOf(field, 1))));
    expect(external.map((one) => one.name.length)).toEqual([65_536]);
  });

  test('with more external weights than memory could hold is refused', async () => {
    const bytes = graphOf(Buffer.from([0x2a, 2, 0x70, 1]), 100_001);
    write({ 'ext.onnx': bytes });
    await expect(contentOf()).rejects.toThrow(/more than 100000 tensors in other files; save it/);
  });
});

test('a model with its weights inside is transferred byte for byte', async () => {
  const model = onnxBytes();
  write({ 'ext.onnx': model });
  const { bytes, sha256: digest } = await contentOf();
  expect([Buffer.from(bytes).equals(model), digest]).toEqual([true, sha256(model)]);
  expect(await answer(bytes)).toEqual([31, 42]);
});

test('the newest accepted versions are the newest that ONNX Runtime loads', async () => {
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
