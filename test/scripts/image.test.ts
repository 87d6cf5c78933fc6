import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CONTAINER } from '../../scripts/image/config';
import type { Layer } from '../../scripts/image/items';
import { ociArchive } from '../../scripts/image/oci';
import { writeTrees } from '../../scripts/image/tree';
import { ROOT } from '../support/sources';

let folder: string;
let layers: readonly Layer[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'image-'));
  writeFileSync(join(folder, 'program'), 'a program of some length\n'.repeat(100));
  layers = [
    { name: 'system', items: [{ to: '/tmp', folder: true, mode: 0o1777 }] },
    {
      name: 'app',
      items: [
        { to: '/usr/local/bin/p', link: '/app/p' },
        { to: '/app/p', file: join(folder, 'program'), mode: 0o755 },
        { to: '/app/notes.txt', text: 'text' },
      ],
    },
  ];
});
afterEach(() => rmSync(folder, { recursive: true }));

const OPTIONS = {
  name: 'docker.io/org/app:1.2',
  architecture: 'amd64',
  created: '2026-01-01T00:00:00Z',
  container: CONTAINER,
} as const;

const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Described {
  readonly digest: string;
  readonly size: number;
}

/** The archive as other tools see it: unpacked by the system's tar. */
function unpacked() {
  const file = join(folder, 'image.tar');
  writeFileSync(file, ociArchive(layers, OPTIONS));
  execFileSync('tar', ['-xf', file, '-C', folder]);
  const read = (path: string): Buffer => readFileSync(join(folder, path));
  const json = (path: string) => JSON.parse(read(path).toString()) as unknown;
  const blob = ({ digest, size }: Described): Buffer => {
    const bytes = read(`blobs/${digest.replace(':', '/')}`);
    expect([digestOf(bytes), bytes.length]).toEqual([digest, size]);
    return bytes;
  };
  return { read, json, blob };
}

test('every blob is what its descriptor says, from the index to the last layer', () => {
  const { json, blob } = unpacked();
  expect(json('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
  const { manifests } = json('index.json') as { manifests: [Described] };
  expect(manifests).toHaveLength(1);
  expect(manifests[0]).toMatchObject({
    platform: { os: 'linux', architecture: 'amd64' },
    annotations: {
      'io.containerd.image.name': 'docker.io/org/app:1.2',
      'org.opencontainers.image.ref.name': '1.2',
    },
  });
  const manifest = JSON.parse(blob(manifests[0]).toString());
  const config = JSON.parse(blob(manifest.config).toString());
  const plain = manifest.layers.map((layer: Described) => digestOf(gunzipSync(blob(layer))));
  expect(config.rootfs.diff_ids).toEqual(plain);
  expect(plain).toHaveLength(2);
  expect(config.history).toHaveLength(2);
});

test('the configuration says user, entry point, environment, labels and health check', () => {
  const { json, read } = unpacked();
  const [docker] = json('manifest.json') as [{ Config: string; RepoTags: string[] }];
  expect(docker.RepoTags).toEqual(['docker.io/org/app:1.2']);
  const { config, os, architecture, created } = JSON.parse(read(docker.Config).toString());
  expect([os, architecture, created]).toEqual(['linux', 'amd64', OPTIONS.created]);
  expect(config).toMatchObject({
    User: '10001:10001',
    Entrypoint: ['ai-model-service'],
    Cmd: ['serve'],
    Env: expect.arrayContaining(['AI_MODEL_SERVICE__SERVER__HOST=0.0.0.0']),
    Labels: { 'org.opencontainers.image.licenses': 'MIT' },
    Healthcheck: { Test: ['CMD', 'node', '/app/healthcheck.cjs'] },
  });
});

test('a layer holds files, links and folders with their rights, owned by root and without a date', () => {
  const { json, read } = unpacked();
  const [{ Layers }] = json('manifest.json') as [{ Layers: readonly string[] }];
  const listed = Layers.map((path) =>
    execFileSync('tar', ['-tvzf', '-', '--numeric-owner', '--utc'], { input: read(path) })
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replaceAll(/ +/g, ' ')),
  );
  expect(listed[0]).toEqual(['drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp/']);
  expect(listed[1]).toEqual([
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 app/',
    '-rw-r--r-- 0/0 4 1970-01-01 00:00 app/notes.txt',
    '-rwxr-xr-x 0/0 2500 1970-01-01 00:00 app/p',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/local/',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/local/bin/',
    'lrwxrwxrwx 0/0 0 1970-01-01 00:00 usr/local/bin/p -> /app/p',
  ]);
});

test('the same content gives the same bytes, in whatever order it is listed', () => {
  const turned = layers.map((layer) => ({ ...layer, items: layer.items.toReversed() }));
  expect(ociArchive(turned, OPTIONS).equals(ociArchive(layers, OPTIONS))).toBe(true);
});

test('a path that a tar header cannot hold is refused', () => {
  const items = [{ to: `/${'x'.repeat(300)}`, text: '' }];
  expect(() => ociArchive([{ name: 'app', items }], OPTIONS)).toThrow(/too long/);
});

test('the same layers are written as folders', () => {
  const to = join(folder, 'tree');
  writeTrees(layers, to);
  expect(lstatSync(join(to, 'system/tmp')).mode & 0o7777).toBe(0o1777);
  expect(lstatSync(join(to, 'app/app/p')).mode & 0o7777).toBe(0o755);
  expect(readlinkSync(join(to, 'app/usr/local/bin/p'))).toBe('/app/p');
  expect(readFileSync(join(to, 'app/app/notes.txt'), 'utf8')).toBe('text');
});

describe('the Dockerfile', () => {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
  const argument = (word: string): string =>
    last.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';

  test('runs as the configuration of the image made without docker says', () => {
    expect(argument('USER')).toBe(CONTAINER.User);
    expect(argument('WORKDIR')).toBe(CONTAINER.WorkingDir);
    expect(JSON.parse(argument('ENTRYPOINT'))).toEqual(CONTAINER.Entrypoint);
    expect(JSON.parse(argument('CMD'))).toEqual(CONTAINER.Cmd);
    expect(argument('ENV').split(' ')).toEqual(CONTAINER.Env);
    const ports = argument('EXPOSE').split(' ');
    expect(ports.map((port) => `${port}/tcp`)).toEqual(Object.keys(CONTAINER.ExposedPorts));
    const label = argument('LABEL');
    const labels = [...label.matchAll(/(org\.\S+?)="([^"]*)"/g)].map(([, key, value]) => [
      key,
      value,
    ]);
    expect(Object.fromEntries(labels)).toMatchObject(CONTAINER.Labels);
  });

  test('asks for health as that configuration does', () => {
    const { Test, Interval, Timeout, StartPeriod, Retries } = CONTAINER.Healthcheck;
    const seconds = (nanoseconds: number): string => `${nanoseconds / 1e9}s`;
    const check = argument('HEALTHCHECK');
    expect(check).toMatch(new RegExp(`--interval=${seconds(Interval)} `));
    expect(check).toMatch(new RegExp(`--timeout=${seconds(Timeout)} `));
    expect(check).toMatch(new RegExp(`--start-period=${seconds(StartPeriod)} `));
    expect(check).toMatch(new RegExp(`--retries=${Retries} `));
    const command: unknown = JSON.parse(check.slice(check.indexOf('[')));
    expect(['CMD', ...(command as string[])]).toEqual(Test);
  });

  test('copies each layer of the list, and nothing else, into the image', () => {
    const copied = last.filter((line) => /^(?:COPY|ADD|RUN) /.test(line));
    const wanted = ['system', 'onnxruntime', 'app'].map(
      (name) => `COPY --from=build /image/${name}/ /`,
    );
    expect(copied).toEqual(wanted);
  });
});
