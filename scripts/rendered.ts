// Everything that we render, as files for tools that read manifests:
//   npx tsx scripts/rendered.ts FOLDER
// FOLDER/default: dist/ and the goldens as they are committed, and the service in all its forms;
// FOLDER/1.28 …: the same definitions and forms, rendered for that version of Kubernetes. Each is a
// file of its own: what has the same name in two of them is not one object.
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { App, Chart, Yaml } from 'cdk8s';
import { Namespaces, Secret } from 'cdk8s-plus-28';
import { parse } from 'yaml';
import type { ModelServiceProps } from '../lib/constructs';
import { ModelService } from '../lib/constructs';
import { objectsOf } from '../lib/objects';
import type { EnvironmentInput, ModelSpec } from '../lib/spec';
import { parseEnvironment } from '../lib/spec';
import { discover } from '../lib/synth';
import { yamlOf } from '../lib/objects/yaml';
import { specOf } from '../test/support/manifests';

/** Versions of Kubernetes that are rendered for. */
const VERSIONS = ['1.28', '1.29', '1.30', '1.31', '1.32'] as const;

const MANIFEST = '.k8s.yaml';
const GOLDENS = 'test/golden/objects';

interface Case {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly environment: EnvironmentInput;
}

function goldenCase(file: string): Case {
  const { definition, environment, files } = parse(readFileSync(join(GOLDENS, file), 'utf8')) as {
    readonly definition: object;
    readonly environment?: EnvironmentInput;
    readonly files?: Readonly<Record<string, string>>;
  };
  return {
    name: basename(file, '.yaml'),
    spec: specOf(definition, files),
    environment: environment ?? {},
  };
}

async function cases(): Promise<readonly Case[]> {
  const goldens = readdirSync(GOLDENS).filter((file) => !file.endsWith(MANIFEST));
  const models = await discover('models');
  return [
    ...models.map(({ spec }) => ({ name: spec.id, spec, environment: {} })),
    ...goldens.map(goldenCase),
  ];
}

/** The service in the forms that differ in their objects. */
function serviceForms(chart: Chart): Readonly<Record<string, ModelServiceProps>> {
  const secret = (name: string) => Secret.fromSecretName(chart, name, name);
  const envFrom = [secret('api-keys')];
  return {
    service: { envFrom },
    'service-gitops': {
      config: { auth: { mode: 'none' } },
      mode: 'gitops',
      grpcPort: 8081,
      route: { hostnames: ['models.example.com'], gateway: 'public' },
      allowFrom: 'everyone',
    },
    'service-full': {
      environment: { monitoring: { style: 'operator' } },
      modelNamespaces: ['team-a', 'team-b'],
      envFrom,
      tls: secret('public-tls'),
      ingress: { host: 'models.example.com', className: 'nginx', tls: secret('ingress-tls') },
      allowFrom: [
        Namespaces.select(chart, `${chart.node.id}-ingress`, { names: ['ingress-nginx'] }),
      ],
      config: { logging: { level: 'warn' } },
    },
  };
}

function serviceText(form: string, kubernetesVersion?: (typeof VERSIONS)[number]): string {
  const chart = new Chart(new App(), form);
  const { environment, ...props } = serviceForms(chart)[form] ?? {};
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', {
    ...props,
    environment: { ...environment, ...(kubernetesVersion && { kubernetesVersion }) },
  });
  return Yaml.stringify(...(chart.toJson() as object[]));
}

const FORMS = Object.keys(serviceForms(new Chart(new App(), 'names')));

function writeDefault(folder: string): void {
  const below = (path: string): readonly string[] =>
    readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name));
  for (const path of [...below('dist'), ...below('deploy'), ...below('test/golden')]) {
    if (path.endsWith(MANIFEST)) cpSync(path, join(folder, path.replaceAll('/', '.')));
  }
  for (const form of FORMS) writeFileSync(join(folder, `${form}${MANIFEST}`), serviceText(form));
}

async function main(folder: string): Promise<void> {
  for (const name of ['default', ...VERSIONS]) mkdirSync(join(folder, name), { recursive: true });
  writeDefault(join(folder, 'default'));
  const all = await cases();
  for (const version of VERSIONS) {
    const write = (name: string, text: string): void =>
      writeFileSync(join(folder, version, `${name}${MANIFEST}`), text);
    for (const { name, spec, environment } of all) {
      const own = parseEnvironment({ ...environment, kubernetesVersion: version });
      write(name, yamlOf(objectsOf(spec, own)));
    }
    for (const form of FORMS) write(form, serviceText(form, version));
  }
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: rendered.ts FOLDER');
void main(folder);
