import { parse } from 'yaml';
import { DefinitionError, findingInForm, findingsOf, parseEnvironment } from '../../lib/spec';
import { parseModel, toWire } from '../../lib/spec';
import { modelJsonSchema } from '../../lib/spec/jsonschema';
import { wordsInForm } from '../../lib/spec/spelling';
import { modelSchema } from '../../lib/spec/model';
import { goldens } from '../support/golden';

// What an author is told names fields as the author does: `maxReplicas` in TypeScript,
// `max_replicas` in YAML and JSON.

/** Names of fields of which the two forms differ by capitals. */
function camelNames(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const own = 'properties' in schema ? Object.keys(schema.properties as object) : [];
  return [...own, ...Object.values(schema).flatMap(camelNames)].filter((name) =>
    /^[a-z]+[A-Z]/.test(name),
  );
}
const CAMEL = new RegExp(`\\b(?:${[...new Set(camelNames(modelJsonSchema()))].join('|')})\\b`);

function complaint(input: unknown): string {
  try {
    parseModel(input);
  } catch (error) {
    if (error instanceof DefinitionError) return error.message;
    throw error;
  }
  return '';
}

test('no fault of a definition in wire form has a field name of TypeScript', () => {
  const told = goldens('broken').flatMap(({ name, input }) => {
    const given: unknown = parse(input);
    if (typeof given !== 'object' || given === null || name.startsWith('override')) return [];
    // A value may be quoted; what is said of it is looked at.
    return [complaint(toWire({ ...given, id: 'iris' } as never)).replaceAll(/"[^"]*"/g, '')];
  });
  expect(told.filter((text) => text !== '').length).toBeGreaterThan(60);
  expect(told.filter((text) => CAMEL.test(text))).toEqual([]);
});

const QUOTA = parseEnvironment({ quota: { gpu: 1, cpu: '1' }, podSecurity: 'restricted' });

test('findings name fields as the author does', () => {
  const spec = parseModel({
    id: 'm',
    version: '1',
    framework: 'custom',
    image: 'r.example/m:1',
    resources: { cpu: '2', cpuLimit: '1', gpu: 2 },
    scaling: { minReplicas: 1, maxReplicas: 3 },
    inference: { batching: { maxSize: 8, maxDelayMs: 2 } },
  });
  const found = findingsOf(spec, { environment: QUOTA });
  const fixes = (form: 'fields' | 'wire'): string =>
    found.map((one) => `${findingInForm(one, form).path}: ${findingInForm(one, form).fix}`).join();
  expect(fixes('fields')).toContain('resources.cpuLimit: raise `cpuLimit`, lower `cpu`, or leave');
  expect(fixes('fields')).toContain('scaling.minReplicas: set `minReplicas` to 2');
  expect(fixes('wire')).toContain(
    'resource_requirements.cpu_limit: raise `cpu_limit`, lower `cpu`',
  );
  expect(fixes('wire')).toContain('scaling_config.min_replicas: set `min_replicas` to 2');
  expect(fixes('wire')).toContain('scaling_config.max_replicas: lower `max_replicas`, or');
  expect(fixes('wire')).toContain('run_as_user: set `run_as_user`');
  expect(fixes('wire')).not.toMatch(CAMEL);
});

test.each([
  ['', '`health.startupSeconds`', '`health_check.startup_seconds`'],
  ['server.image', '`image` and `server.image`', '`docker_image` and `server.image`'],
  ['candidates[0].scaling.maxReplicas', '`minReplicas`', '`min_replicas`'],
  ['candidates[1]', 'remove `scaling`', 'remove `scaling_config`'],
  ['env.A', 'set `env.A_TASK`', 'set `environment_variables.A_TASK`'],
  ['scaling', '`terminationGracePeriodSeconds`', '`terminationGracePeriodSeconds`'],
  ['scaling', 'minReplicas without backticks', 'minReplicas without backticks'],
])('about %j, %s is %s in wire form', (path, fields, wire) => {
  expect(wordsInForm(modelSchema, path, 'wire')(fields)).toBe(wire);
  expect(wordsInForm(modelSchema, path, 'fields')(fields)).toBe(fields);
});

test('values are shown as given', () => {
  const message = complaint({
    model_id: 'm',
    version: '1',
    framework: '`minReplicas`',
    repository_url: './m.onnx',
  });
  expect(message).toMatch(/^framework: got "`minReplicas`", must be one of/);
});
