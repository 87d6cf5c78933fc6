import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Yaml } from 'cdk8s';
import { parse } from 'yaml';
import { objectsOf } from '../../lib/objects';
import type { EnvironmentInput } from '../../lib/spec';
import { parseEnvironment } from '../../lib/spec';
import { yamlOf } from '../../lib/objects/yaml';
import type { Manifest } from '../support/manifests';
import { at, documents, findManifest, podTemplates, specOf } from '../support/manifests';
import { restrictedFaults } from '../support/podsecurity';
import { faultsOf128, newestFaults } from '../support/strict';

// Each case is a pair of files: `x.yaml` (definition, environment, files) and `x.k8s.yaml`, the
// whole manifest.
const FOLDER = join(__dirname, '..', 'golden', 'objects');

interface Case {
  readonly definition: object;
  readonly environment?: EnvironmentInput;
  readonly files?: Readonly<Record<string, string>>;
}

const cases = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml') && !name.endsWith('.k8s.yaml'))
  .map((name) => name.slice(0, -'.yaml'.length));

function render(name: string, more: EnvironmentInput = {}): string {
  const given = parse(readFileSync(join(FOLDER, `${name}.yaml`), 'utf8')) as Case;
  const environment = parseEnvironment({ ...given.environment, ...more });
  const objects = objectsOf(specOf(given.definition, given.files), environment);
  const text = yamlOf(objects);
  expect(text).toBe(Yaml.stringify(...objects));
  return text;
}

const rendered = new Map<string, string>();

/** The same, made once: that it is always the same is a test of its own. */
function renderedOf(name: string): string {
  const text = rendered.get(name) ?? render(name);
  rendered.set(name, text);
  return text;
}

const title = (name: string): string => name.replaceAll('-', ' ');

test.each(cases.map((name) => [title(name), name]))('%s: the whole manifest', (_, name) => {
  const path = join(FOLDER, `${name}.k8s.yaml`);
  const actual = renderedOf(name);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, actual);
  expect(existsSync(path) ? readFileSync(path, 'utf8') : undefined).toBe(actual);
});

test('every golden file is used', () => {
  const outputs = readdirSync(FOLDER).filter((name) => name.endsWith('.k8s.yaml'));
  expect(outputs).toEqual(cases.map((name) => `${name}.k8s.yaml`).sort());
});

test.each(cases.map((name) => [title(name), name]))(
  '%s: has no unknown field, no wrong type, and no missing field by the newest schemas',
  (_, name) => {
    expect(documents(renderedOf(name)).flatMap(newestFaults)).toEqual([]);
  },
);

test('rendered for 1.28, every object is valid in 1.28', () => {
  const all = cases.flatMap((name) => documents(render(name, { kubernetesVersion: '1.28' })));
  expect(faultsOf128(all)).toEqual([]);
});

test('the check against 1.28 finds an unknown field, a wrong type and a missing field', () => {
  const first = findManifest(documents(renderedOf('kubernetes-1-28')), 'Deployment');
  const broken = (change: (spec: Record<string, unknown>) => void): Manifest => {
    const copy = JSON.parse(JSON.stringify(first)) as Manifest;
    change(copy['spec'] as Record<string, unknown>);
    return copy;
  };
  const found = faultsOf128([
    broken((spec) => (spec['replica'] = 1)),
    broken((spec) => (spec['minReadySeconds'] = '10')),
    broken((spec) => delete spec['selector']),
  ]);
  expect(found).toHaveLength(3);
  expect(found.join('\n')).toMatch(/replica\W+ does not exist[^]*not assignable[^]*'selector'/);
});

test.each(cases.map((name) => [title(name), name]))(
  '%s: a pod from every template passes restricted pod security, where it is set',
  (_, name) => {
    const given = parse(readFileSync(join(FOLDER, `${name}.yaml`), 'utf8')) as Case;
    const restricted = (given.environment?.podSecurity ?? 'restricted') === 'restricted';
    const faults = podTemplates(documents(renderedOf(name))).flatMap(({ template }) =>
      restrictedFaults(at(template, 'spec') as Record<string, unknown>),
    );
    expect(faults.length === 0).toBe(restricted);
  },
);

test('only stable APIs are used', () => {
  const versions = cases.flatMap((name) =>
    documents(renderedOf(name)).map(({ apiVersion }) => apiVersion),
  );
  expect(versions.filter((version) => !/^(?:[a-z0-9.]+\/)?v[0-9]+$/.test(version))).toEqual([]);
});

test('the same definition gives the same bytes, in any order of its keys', () => {
  for (const name of cases) expect(render(name)).toBe(renderedOf(name));
  const reversed = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .toReversed()
            .map(([key, inner]) => [key, reversed(inner)]),
        )
      : value;
  const { definition } = parse(
    readFileSync(join(FOLDER, 'canary-and-shadow.yaml'), 'utf8'),
  ) as Case;
  const bytes = (given: unknown): string => yamlOf(objectsOf(specOf(given), parseEnvironment()));
  expect(bytes(reversed(definition))).toBe(bytes(definition));
});
