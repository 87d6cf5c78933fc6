import type { Manifest } from '../../../cli/fetch/layers';
import { filesOf, isEvidence } from '../../../cli/fetch/layers';

const URI = 'oci://r.example.org/m:1';
const sha = (digit: string): string => `sha256:${digit.repeat(64)}`;
const layer = (
  mediaType: string,
  annotations: Readonly<Record<string, string>> = {},
  at = '1',
) => ({
  mediaType,
  digest: sha(at),
  size: 1,
  annotations,
});
const named = (manifest: Manifest, single = false) =>
  filesOf(URI, manifest, { single }).map(({ path, archive }) => [path, archive]);

const FILEPATH = 'org.cncf.model.filepath';
const TITLE = 'org.opencontainers.image.title';
const RAW = 'application/vnd.cncf.model.weight.v1.raw';

test('a file of ModelPack has the name of its annotation', () => {
  const artifactType = 'application/vnd.cncf.model.manifest.v1+json';
  const layers = [layer(RAW, { [FILEPATH]: '1/model.onnx' })];
  expect(named({ artifactType, layers })).toEqual([['1/model.onnx', false]]);
});

test('tars of ModelPack and KitOps are unpacked, with a name or without', () => {
  const layers = [
    layer('application/vnd.cncf.model.weight.v1.tar', { [FILEPATH]: 'weights' }),
    layer('application/vnd.cncf.model.weight.config.v1.tar+gzip', { [FILEPATH]: 'conf' }, '2'),
    layer('application/vnd.kitops.modelkit.model.v1.tar+gzip', {}, '3'),
  ];
  expect(named({ layers }).map(([, archive]) => archive)).toEqual([true, true, true]);
});

test('ORAS names a file by its title, also a tar, and marks packed folders', () => {
  const tar = 'application/vnd.oci.image.layer.v1.tar';
  const layers = [
    layer('text/plain', { [TITLE]: 'a/README.md' }),
    layer(tar, { [TITLE]: 'weights.tar' }),
    layer(tar, { [TITLE]: 'model', 'io.deis.oras.content.unpack': 'true' }),
  ];
  expect(named({ layers })).toEqual([
    ['a/README.md', false],
    ['weights.tar', false],
    ['model', true],
  ]);
});

test('a server that loads one file gets the weights without their documentation', () => {
  const layers = [
    layer('application/vnd.cncf.model.doc.v1.raw', { [FILEPATH]: 'README.md' }),
    layer(RAW, { [FILEPATH]: 'm.onnx' }, '2'),
    layer('application/vnd.cncf.model.dataset.v1.raw', { [FILEPATH]: 'rows.csv' }, '3'),
  ];
  expect(named({ layers }, true)).toEqual([['m.onnx', false]]);
  expect(named({ layers })).toEqual([
    ['README.md', false],
    ['m.onnx', false],
  ]);
});

test.each([
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.cncf.notary.signature',
  'application/vnd.in-toto+json',
  'application/vnd.dsse.envelope.v1+json',
  'application/jose+json',
  'application/cose',
  'application/spdx+json',
  'application/vnd.cyclonedx+json',
])('an artifact or layer of type %s is not loaded as weights', (type) => {
  const subject = { digest: sha('9') };
  const signature = { artifactType: type, layers: [layer('text/plain')], subject };
  expect(isEvidence(signature)).toBe(true);
  expect(() => named(signature)).toThrow(new RegExp(`signature.*of ${sha('9')}.*name the model`));
  expect(() => named({ layers: [layer(type)] })).toThrow(/signature/);
  expect(named({ layers: [layer(RAW, { [FILEPATH]: 'm' }), layer(type)] })).toEqual([['m', false]]);
});

test('unreadable digests and unsupported compression are reported', () => {
  expect(() => named({ layers: [{ ...layer(RAW), digest: 'md5:../x' }] })).toThrow(
    /must be sha256/,
  );
  const zstd = layer('application/vnd.cncf.model.weight.v1.tar+zstd');
  expect(() => named({ layers: [zstd] })).toThrow(/zstd is not unpacked/);
  expect(() => named({ layers: [] })).toThrow(/no layer/);
});
