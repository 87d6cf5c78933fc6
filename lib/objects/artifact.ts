import type { k8s } from 'cdk8s-plus-28';
import type { Arm, FileContent, ModelSpec, Source } from '../spec';
import { armPath, DefinitionError, fault, MAX_FILE_BYTES } from '../spec';
import { base64 } from './base64';
import { cacheFolder, cacheName, isCached } from './cache';
import type { Context } from './context';
import { nameHash } from './context';
import type { Fetch } from './fetch';
import { fetchContainer } from './fetch';
import type { KubeObject, Plain } from './kube';
import { kubeObject } from './kube';
import { metadataOf, SERVER_SIDE_APPLY } from './labels';
import type { Layout } from './layout';
import { extensionOf, isArchive, layoutOf } from './layout';
import { artifactLimit } from './storage';

type Volume = Plain<k8s.Volume>;
type Mount = Plain<k8s.VolumeMount>;

/** Additions of an artifact to a pod. */
export interface ArtifactParts {
  readonly volumes: readonly Volume[];
  readonly mounts: readonly Mount[];
  readonly initContainers: readonly Plain<k8s.Container>[];
}

const NOTHING: ArtifactParts = { volumes: [], mounts: [], initContainers: [] };

/** Volume that holds the artifact, and the one that holds the file it is unpacked from. */
const VOLUME = 'model';
const PACKED = 'artifact';
const PACKED_FOLDER = '/artifact';

/** The file of a `file` source: what `discover` read, small enough to travel. */
function contentOf(spec: ModelSpec, arm: Arm, source: Source): FileContent {
  const { content, uri } = source;
  const path = armPath(spec, arm, 'source');
  if (content === undefined) {
    throw new DefinitionError([
      fault(
        path,
        uri,
        'a URI the cluster can load from (a file is known only where its definition stands)',
        'push the file to an object store or registry and name it: https://…, s3://…, gs://…, oci://…',
      ),
    ]);
  }
  const size = content.size ?? content.bytes.length;
  if (size <= MAX_FILE_BYTES) return content;
  const weights = content.fileSha256 === undefined ? '' : ', with the weights beside it';
  throw new DefinitionError([
    fault(
      path,
      `${uri} (${size} bytes${weights})`,
      `at most ${MAX_FILE_BYTES} bytes to travel in a ConfigMap`,
      'push it to an object store or registry and name it: s3://bucket/key, gs://…, oci://…, https://…',
    ),
  ]);
}

/** ConfigMap keys are stricter than file names. */
const keyOf = ({ name }: FileContent): string => name.replace(/[^A-Za-z0-9._-]/g, '_');

/** Prefix of the names of the ConfigMaps with the files of a model. */
export function artifactPrefix(slug: string): string {
  return `${slug}--artifact-`;
}

function artifactName(spec: ModelSpec, content: FileContent): string {
  return artifactPrefix(spec.slug) + nameHash({ [keyOf(content)]: content.sha256 });
}

/** The ConfigMap that carries a small `file` source to the cluster. */
export function artifactConfigMap(context: Context, arm: Arm): KubeObject | undefined {
  if (arm.source?.scheme !== 'file') return undefined;
  const content = contentOf(context.spec, arm, arm.source);
  const name = artifactName(context.spec, content);
  const metadata = metadataOf(context, name, undefined, { annotations: SERVER_SIDE_APPLY });
  return kubeObject('ConfigMap', metadata, {
    immutable: true,
    binaryData: { [keyOf(content)]: base64(content.bytes) },
  });
}

function fileParts(context: Context, arm: Arm, source: Source, layout: Layout): ArtifactParts {
  const { spec } = context;
  const content = contentOf(spec, arm, source);
  const configMap = { name: artifactName(spec, content) };
  if (isArchive(source.uri)) {
    const packed = {
      volumes: [{ name: PACKED, configMap }],
      mounts: [{ name: PACKED, mountPath: PACKED_FOLDER, readOnly: true }],
    };
    const uri = `file://${PACKED_FOLDER}/${keyOf(content)}`;
    return fetchedParts(context, { source: { ...source, uri }, layout, ...packed });
  }
  const { file } = layout;
  if (file === undefined) throw folderWanted(spec, arm, source);
  return {
    ...NOTHING,
    volumes: [{ name: VOLUME, configMap }],
    // One file by subPath: servers see a plain file, not the links of a mounted ConfigMap.
    mounts: [
      {
        name: VOLUME,
        mountPath: `${layout.folder}/${file}`,
        subPath: keyOf(content),
        readOnly: true,
      },
    ],
  };
}

function folderWanted(spec: ModelSpec, arm: Arm, { uri }: Source): DefinitionError {
  return new DefinitionError([
    fault(
      armPath(spec, arm, 'source'),
      uri,
      `an archive (.tar.gz, .zip) of a folder, which ${arm.server.kind} loads`,
      'pack the folder, or name where it lies: s3://…, gs://…, hf://…, pvc://…',
    ),
  ]);
}

type Fetched = Pick<Fetch, 'source' | 'layout'> & Pick<ArtifactParts, 'volumes' | 'mounts'>;

/** An init container writes the artifact to an emptyDir; the server reads it. */
function fetchedParts(context: Context, { source, layout, volumes, mounts }: Fetched) {
  const own: Mount = { name: VOLUME, mountPath: layout.mount };
  const fetch = fetchContainer(context.environment, {
    source,
    layout,
    name: 'artifact',
    mounts: [own, ...mounts],
  });
  return {
    volumes: [
      { name: VOLUME, emptyDir: { sizeLimit: artifactLimit(source) } },
      ...volumes,
      ...fetch.volumes,
    ],
    mounts: [{ ...own, readOnly: true }],
    initContainers: [fetch.container],
  };
}

/** The Job fills the volume; the pod waits until the artifact is whole, and only reads. */
function cachedParts(context: Context, source: Source, layout: Layout): ArtifactParts {
  const mount: Mount = {
    name: VOLUME,
    mountPath: layout.mount,
    subPath: cacheFolder(source, layout),
    readOnly: true,
  };
  const fetch = fetchContainer(context.environment, {
    source,
    layout,
    name: 'artifact',
    mounts: [mount],
    waitSeconds: context.spec.health.startupSeconds,
  });
  const claim = { claimName: cacheName(context.spec) };
  return {
    volumes: [{ name: VOLUME, persistentVolumeClaim: claim }, ...fetch.volumes],
    mounts: [mount],
    initContainers: [fetch.container],
  };
}

/** `pvc://claim/path`: a folder or one file that is already there. */
function claimParts({ uri }: Source, layout: Layout): ArtifactParts {
  const [, claimName = '', path = ''] = /^pvc:\/\/([^/]+)\/?(.*)$/i.exec(uri) ?? [];
  const subPath = path.replace(/\/+$/, '');
  const file = extensionOf(subPath) === undefined ? undefined : layout.file;
  const mountPath = file === undefined ? layout.folder : `${layout.folder}/${file}`;
  return {
    ...NOTHING,
    volumes: [{ name: VOLUME, persistentVolumeClaim: { claimName, readOnly: true } }],
    mounts: [{ name: VOLUME, mountPath, readOnly: true, ...(subPath !== '' && { subPath }) }],
  };
}

/** The volumes, mounts and init containers that bring the artifact of an arm to its server. */
export function artifactParts(context: Context, arm: Arm): ArtifactParts {
  const { source } = arm;
  if (source === undefined) return NOTHING;
  const layout = layoutOf(context.spec, arm);
  if (source.scheme === 'file') return fileParts(context, arm, source, layout);
  if (source.scheme === 'pvc') return claimParts(source, layout);
  if (isCached(context.spec, source)) return cachedParts(context, source, layout);
  return fetchedParts(context, { source, layout, volumes: [], mounts: [] });
}

/**
 * Path of the artifact in the pod, for the arguments of a server or the variables of an own image.
 */
export function artifactPath(spec: ModelSpec, arm: Arm): string | undefined {
  if (arm.source === undefined) return undefined;
  const { folder, file } = layoutOf(spec, arm);
  return file === undefined ? folder : `${folder}/${file}`;
}
