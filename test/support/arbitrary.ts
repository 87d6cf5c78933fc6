import fc from 'fast-check';
import type { ModelInput } from '../../lib/spec';
import { anyText } from './texts';

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const id = fc.tuple(word, fc.constantFrom('', '_', '-'), word).map((parts) => parts.join(''));
const quantity = fc.record({
  cpu: maybe(fc.constantFrom('500m', '1', '2', '0.5')),
  memory: maybe(fc.constantFrom('512Mi', '8Gi', '1.5Gi')),
  gpu: maybe(
    fc.oneof(fc.integer({ min: 1, max: 8 }), fc.record({ count: fc.integer({ min: 1, max: 8 }) })),
  ),
});
const scaling = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 5 }))
  .map(([minReplicas, more]) => ({ minReplicas, maxReplicas: minReplicas + more }));
const env = fc.dictionary(
  fc.stringMatching(/^[A-Z][A-Z0-9_]{0,6}$/),
  fc.oneof(
    anyText.map((text) => text.replaceAll('\0', '')),
    fc.constant({ secret: 'a', key: 'b' }),
  ),
  { maxKeys: 3 },
);
const role = fc.oneof(
  fc.integer({ min: 0, max: 5000 }).map((hundredths) => ({ traffic: hundredths / 100 })),
  fc.integer({ min: 1, max: 100 }).map((shadow) => ({ shadow, compare: { abs: 0.1 } })),
);
const candidates = fc
  .array(fc.tuple(role, maybe(scaling), maybe(quantity)), { maxLength: 2 })
  .map((all) =>
    all.map(([given, scale, resources], index) =>
      drop({ version: `v${index + 2}`, ...given, scaling: scale, resources }),
    ),
  );

/** Leaves out what is undefined, as an author would. */
function drop<T extends object>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** Definitions that are right, in field form, without undefined values. */
export const models: fc.Arbitrary<ModelInput> = fc
  .record({
    id,
    name: maybe(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })),
    version: fc.constantFrom('v1', '1.0.0', 'v3.0.1+gpu'),
    framework: fc.constantFrom('onnx', 'tensorflow', 'sklearn', 'tensorrt'),
    source: fc.constantFrom('./a.onnx', 's3://models/a', 'hf://org/name@main', 'pvc://claim/a'),
    resources: maybe(quantity),
    scaling: maybe(scaling),
    env: maybe(env),
    inference: maybe(fc.constantFrom({ cohort: { cookie: 'uid' } }, { maxConcurrency: 4 })),
    health: maybe(fc.constantFrom({ initialDelaySeconds: 3 }, { periodSeconds: 9, path: '/x' })),
    labels: maybe(fc.dictionary(fc.constantFrom('team', 'tier'), word)),
    candidates: maybe(candidates),
  })
  .map((model) => drop(model) as ModelInput);
