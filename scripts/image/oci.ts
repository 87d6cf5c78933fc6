import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Layer } from './items';
import { tarOf, tarOfBlobs } from './tar';

// An OCI image layout (image-spec 1.1) in a tar, with the `manifest.json` that `docker load` of the
// classic image store reads. `ctr images import`, `kind load image-archive` and `docker load` take it.

const MEDIA = 'application/vnd.oci.image';

export interface ImageOptions {
  /** With registry host and tag: containerd knows an image by its whole name. */
  readonly name: string;
  readonly architecture: 'amd64' | 'arm64';
  /** RFC 3339. */
  readonly created: string;
  /** What a container starts with: User, Entrypoint, Env, Labels, … */
  readonly container: Readonly<Record<string, unknown>>;
}

interface Blob {
  readonly digest: string;
  readonly content: Buffer;
}

const digestOf = (content: Buffer): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`;

const blobOf = (content: Buffer): Blob => ({ digest: digestOf(content), content });

const jsonBlob = (value: unknown): Blob => blobOf(Buffer.from(JSON.stringify(value)));

const descriptor = (mediaType: string, { digest, content }: Blob) => ({
  mediaType: `${MEDIA}.${mediaType}`,
  digest,
  size: content.length,
});

const pathOf = ({ digest }: Blob): string => `blobs/${digest.replace(':', '/')}`;

function configOf(
  { architecture, created, container }: ImageOptions,
  layers: readonly Layer[],
  diffIds: readonly string[],
) {
  return {
    created,
    architecture,
    os: 'linux',
    config: container,
    // The digests of the layers as they are unpacked; those in the manifest are of what travels.
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: layers.map(({ name }) => ({ created, created_by: `layer ${name}` })),
  };
}

/** The whole image as one tar. The same layers and options give the same bytes. */
export function ociArchive(layers: readonly Layer[], options: ImageOptions): Buffer {
  const packed = layers.map(({ items }) => {
    const tar = tarOf(items);
    return { diffId: digestOf(tar), blob: blobOf(gzipSync(tar)) };
  });
  const blobs = packed.map(({ blob }) => blob);
  const diffIds = packed.map(({ diffId }) => diffId);
  const config = jsonBlob(configOf(options, layers, diffIds));
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: `${MEDIA}.manifest.v1+json`,
    config: descriptor('config.v1+json', config),
    layers: blobs.map((blob) => descriptor('layer.v1.tar+gzip', blob)),
  });
  return tarOfBlobs([
    ['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
    ['index.json', Buffer.from(JSON.stringify(indexOf(manifest, options)))],
    ['manifest.json', Buffer.from(JSON.stringify(dockerManifest(config, blobs, options)))],
    ...[manifest, config, ...blobs].map((blob) => [pathOf(blob), blob.content] as const),
  ]);
}

function indexOf(manifest: Blob, { name, architecture }: ImageOptions) {
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
  };
  const platform = { architecture, os: 'linux' };
  return {
    schemaVersion: 2,
    mediaType: `${MEDIA}.index.v1+json`,
    manifests: [{ ...descriptor('manifest.v1+json', manifest), platform, annotations }],
  };
}

function dockerManifest(config: Blob, layers: readonly Blob[], { name }: ImageOptions) {
  return [{ Config: pathOf(config), RepoTags: [name], Layers: layers.map(pathOf) }];
}
