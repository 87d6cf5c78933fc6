/** @jest-environment ./test/support/onnx-environment.ts */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { parse } from 'yaml';
import type { ModelSpec } from '../../lib/spec';
import { MAX_FILE_BYTES, parseModel } from '../../lib/spec';
import diagnosis from '../../models/deep_tcm_diagnosis';
import treatment from '../../models/personalized_treatment';
import type { Case } from './tensors';
import { differenceOf, feedsOf } from './tensors';

const ROOT = join(__dirname, '../..');
const text = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

const SPECS: readonly ModelSpec[] = [
  parseModel(diagnosis),
  parseModel(treatment),
  parseModel(parse(text('models/health_assessment.yaml'))),
];

/** Every artifact the definitions name: `[file, model-version]`. */
const ARTIFACTS = SPECS.flatMap((spec) =>
  spec.arms.map((arm) => [
    join('models', arm.source?.uri.replace(/^\.\//, '') ?? ''),
    `${spec.id}-${arm.version}`,
  ]),
) as [string, string][];

const load = (file: string): Promise<InferenceSession> =>
  InferenceSession.create(join(ROOT, file), { intraOpNumThreads: 1 });

describe('the models folder', () => {
  test('defines three models, one with a candidate with traffic, one with a shadow', () => {
    const arms = Object.fromEntries(SPECS.map(({ id, arms: all }) => [id, all.slice(1)]));
    expect(arms).toMatchObject({
      deep_tcm_diagnosis: [{ role: { kind: 'traffic', percent: 10 } }],
      personalized_treatment: [{ role: { kind: 'shadow', percent: 50 } }],
      health_assessment: [],
    });
  });

  test('has the artifacts of its definitions, and no other', () => {
    const found = readdirSync(join(ROOT, 'models')).filter((file) => file.endsWith('.onnx'));
    expect(found.map((file) => join('models', file)).sort()).toEqual(
      ARTIFACTS.map(([file]) => file).sort(),
    );
  });

  test.each(ARTIFACTS)(
    'has %s with the sum of SHA256SUMS, small enough for a ConfigMap',
    (file) => {
      const sum = createHash('sha256')
        .update(readFileSync(join(ROOT, file)))
        .digest('hex');
      expect(text('examples/train/SHA256SUMS').split('\n')).toContain(`${sum}  ${file}`);
      expect(statSync(join(ROOT, file)).size).toBeLessThanOrEqual(MAX_FILE_BYTES);
    },
  );
});

describe.each(ARTIFACTS)('%s answers as in Python', (file, name) => {
  const cases = JSON.parse(text('test/onnx/reference', `${name}.json`)) as Case[];
  let session: InferenceSession;
  beforeAll(async () => {
    session = await load(file);
  });

  test('at least twenty requests are compared', () => {
    expect(cases.length).toBeGreaterThanOrEqual(20);
  });

  test.each(cases)('$name', async ({ inputs, outputs }) => {
    const answer = await session.run(feedsOf(inputs));
    expect(Object.keys(answer).sort()).toEqual(Object.keys(outputs).sort());
    for (const [output, stored] of Object.entries(outputs))
      expect([output, differenceOf(answer[output], stored)]).toEqual([output, undefined]);
  });

  test('a request gets the same answer alone and in a batch', async () => {
    const batch = cases.find(({ name: title }) => title.startsWith('a batch')) as Case;
    const rows = Object.values(batch.inputs)[0]?.shape[0] ?? 0;
    expect(rows).toBeGreaterThan(1);
    for (let row = 0; row < rows; row += 1) {
      const answer = await session.run(feedsOf(rowOf(batch.inputs, row)));
      for (const [output, stored] of Object.entries(rowOf(batch.outputs, row)))
        expect([row, output, differenceOf(answer[output], stored)]).toEqual([
          row,
          output,
          undefined,
        ]);
    }
  });
});

/** One row of every tensor, as a batch of one. */
const rowOf = (tensors: Case['inputs'], row: number): Case['inputs'] =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { datatype, shape, data }]) => {
      const [rows = 1, ...rest] = shape;
      const width = data.length / rows;
      const cut = data.slice(row * width, (row + 1) * width);
      return [name, { datatype, shape: [1, ...rest], data: cut }];
    }),
  );
