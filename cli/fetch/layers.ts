import type { Entry, SourceContext } from './entry';
import { SourceError } from './entry';

// Selects the layers of an OCI artifact that are files of the model, and their names. Three tools
// push models: ORAS names a file by its title and marks packed folders; ModelPack (modctl, and
// KitOps since 1.0) names it by `org.cncf.model.filepath`; KitOps packs everything into tars.

/** github.com/modelpack/model-spec, docs/annotations.md */
const MODEL_PACK_PATH = 'org.cncf.model.filepath';
const TITLE = 'org.opencontainers.image.title';
const ORAS_UNPACK = 'io.deis.oras.content.unpack';

/** Layers of weights, by the media types of ModelPack and KitOps. */
const WEIGHTS = /^application\/vnd\.(?:cncf\.model\.weight\.v|kitops\.modelkit\.model\.v)/;
/** Training data is not served. */
const DATASET = /^application\/vnd\.(?:cncf\.model|kitops\.modelkit)\.dataset\./;
const TAR = /[.+]tar(?:$|[.+])/;
const EMPTY = 'application/vnd.oci.empty.v1+json';

/** Signatures, attestations and bills of materials: about an artifact, not the artifact itself. */
const EVIDENCE: readonly RegExp[] = [
  /^application\/vnd\.dev\.(?:cosign|sigstore)\./,
  /^application\/vnd\.cncf\.notary\./,
  /^application\/(?:vnd\.in-toto|vnd\.dsse\.envelope)\b/,
  /^application\/(?:jose|cose)(?:$|\+|;)/,
  /^application\/(?:vnd\.cyclonedx|spdx|vnd\.syft)\b/,
  /^(?:application|text)\/spdx\b/,
];
/** Marks attestations in the indexes of buildkit. */
const ATTESTATION = 'vnd.docker.reference.type';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

type Annotations = Readonly<Record<string, string>>;

export interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size?: number;
  readonly annotations?: Annotations;
}

/** A manifest, or its entry in an index. */
interface Described {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: { readonly mediaType?: string };
  readonly annotations?: Annotations;
}

/** Of an index: one for each platform. */
interface Indexed extends Described {
  readonly digest: string;
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

export interface Manifest extends Described {
  readonly layers?: readonly Layer[];
  readonly manifests?: readonly Indexed[];
  /** The artifact that a referrer is about. */
  readonly subject?: { readonly digest?: string };
}

const isEvidenceType = (type: string | undefined): boolean =>
  type !== undefined && EVIDENCE.some((one) => one.test(type));

/** Whether it is a signature or an attestation of another artifact. */
export function isEvidence({ artifactType, config, annotations }: Described): boolean {
  return (
    isEvidenceType(artifactType) ||
    isEvidenceType(config?.mediaType) ||
    annotations?.[ATTESTATION] === 'attestation-manifest'
  );
}

/** ModelPack names the content of a tar as well; the tar holds that name, too. */
function isPacked({ mediaType, annotations = {} }: Layer): boolean {
  if (annotations[ORAS_UNPACK] === 'true') return true;
  const isModelPack = annotations[MODEL_PACK_PATH] !== undefined;
  return TAR.test(mediaType) && (isModelPack || annotations[TITLE] === undefined);
}

function nameOf({ annotations = {}, digest }: Layer): string {
  return annotations[MODEL_PACK_PATH] ?? annotations[TITLE] ?? digest.replace(':', '-');
}

/** The layers for a server: one file if it loads one, else all that belong to the model. */
function wantedOf(layers: readonly Layer[], { single }: Pick<SourceContext, 'single'>) {
  const files = layers.filter(
    ({ mediaType }) =>
      mediaType !== EMPTY && !isEvidenceType(mediaType) && !DATASET.test(mediaType),
  );
  const weights = files.filter(({ mediaType }) => WEIGHTS.test(mediaType));
  return single && weights.length === 1 ? weights : files;
}

/** A file of an artifact, and the digest to request it by. */
export type LayerFile = Omit<Entry, 'open'> & { readonly digest: string };

/** @throws SourceError when the artifact has no model file */
export function filesOf(
  uri: string,
  manifest: Manifest,
  context: Pick<SourceContext, 'single'>,
): readonly LayerFile[] {
  const { layers = [], subject } = manifest;
  const wanted = isEvidence(manifest) ? [] : wantedOf(layers, context);
  if (wanted.length > 0) return wanted.map(fileOf);
  if (layers.length === 0) {
    throw new SourceError(`${uri}: the artifact has no layer; push it again`);
  }
  const about = subject?.digest === undefined ? '' : ` of ${subject.digest}`;
  throw new SourceError(
    `${uri}: holds a signature, an attestation or data${about}, and no file of a model; name the model’s own tag or digest`,
  );
}

function fileOf(layer: Layer): LayerFile {
  const { mediaType, digest, size } = layer;
  if (!DIGEST.test(digest)) {
    throw new SourceError(`a layer has the digest ${digest}, must be sha256:…; push it again`);
  }
  const archive = isPacked(layer);
  if (archive && mediaType.endsWith('zstd')) {
    throw new SourceError(
      `${mediaType}: zstd is not unpacked; push the layer with gzip or as a tar`,
    );
  }
  return { path: nameOf(layer), digest, sha256: digest.replace('sha256:', ''), size, archive };
}
