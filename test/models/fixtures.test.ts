/** @jest-environment ./test/support/onnx-environment.ts */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import type { Case } from './tensors';
import { differenceOf, feedsOf, halfBits } from './tensors';

const FOLDER = join(__dirname, '../onnx/fixtures');
const EXPECTED = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Record<
  string,
  Case[]
>;

const isTensor = (output: object): boolean => 'datatype' in output;
const TENSORS = Object.entries(EXPECTED).filter(([, cases]) =>
  cases.every(({ outputs }) => Object.values(outputs).every(isTensor)),
);

const load = (file: string): Promise<InferenceSession> =>
  // Errors only: one fixture lists an initializer as an input on purpose, which is warned about.
  InferenceSession.create(join(FOLDER, file), { intraOpNumThreads: 1, logSeverityLevel: 3 });

describe('the fixtures of the ONNX server', () => {
  test('every valid graph has its expected answers', () => {
    const files = readdirSync(FOLDER).filter((file) => file.endsWith('.onnx'));
    expect(files.sort()).toEqual([...Object.keys(EXPECTED), 'broken.onnx'].sort());
  });

  test('an invalid graph is refused', async () => {
    await expect(load('broken.onnx')).rejects.toThrow(/protobuf/i);
  });

  test.each(TENSORS)('%s answers in Node as in Python', async (file, cases) => {
    const session = await load(file);
    for (const { name, inputs, outputs } of cases) {
      const answer = await session.run(feedsOf(inputs));
      for (const [output, stored] of Object.entries(outputs))
        expect([name, output, differenceOf(answer[output], stored)]).toEqual([
          name,
          output,
          undefined,
        ]);
    }
  });
});

describe('half precision in the fixtures', () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [0.333, 0x3554],
    [65_504, 0x7bff],
    [65_520, 0x7c00],
    [Infinity, 0x7c00],
    [-Infinity, 0xfc00],
    [NaN, 0x7e00],
    [2 ** -24, 0x0001],
    [2 ** -14, 0x0400],
    [2 ** -14 - 2 ** -24, 0x03ff],
    [2047.5, 0x6800],
  ])('%p is stored as its nearest half float', (value, bits) => {
    expect(halfBits(value)).toBe(bits);
  });
});
