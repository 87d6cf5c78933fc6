import { createHash } from 'node:crypto';
import { artifactPrefix } from '../../../../lib/objects/artifact';
import type { Arm, FileContent, ModelSpec } from '../../../../lib/spec';
import { armObjectName } from '../../../../lib/spec';
import type { Artifacts, StoredModel } from '../../registry';
import { pinOf } from '../../registry';
import type { KubeObject } from '../client/api';
import { at, listAt, textAt } from '../client/object-fields';

/** A file in a ConfigMap, and that ConfigMap. */
export interface ConfigMapFile extends FileContent {
  readonly configMap: string;
}

function fileIn(object: KubeObject): ConfigMapFile | undefined {
  const data = at(object, 'binaryData') ?? {};
  const [first] = Object.entries(data as Readonly<Record<string, unknown>>);
  if (first === undefined || typeof first[1] !== 'string') return undefined;
  const bytes = Buffer.from(first[1], 'base64');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { name: first[0], bytes, sha256, configMap: object.metadata.name };
}

/** The files of a model in the cluster. */
export function filesOf(slug: string, objects: Iterable<KubeObject>): readonly ConfigMapFile[] {
  return [...objects]
    .filter(
      ({ kind, metadata }) =>
        kind === 'ConfigMap' && metadata.name.startsWith(artifactPrefix(slug)),
    )
    .map(fileIn)
    .filter((file) => file !== undefined);
}

/** The file of each arm, from its Deployment: the only source when Git applied the model. */
export function filesInUse(
  spec: ModelSpec,
  objects: ReadonlyMap<string, KubeObject>,
  files: readonly ConfigMapFile[],
): Artifacts {
  const used = spec.arms.flatMap((arm) => {
    const deployment = objects.get(`Deployment/${armObjectName(spec.id, arm.name)}`);
    const names = new Set(
      listAt(deployment, 'spec', 'template', 'spec', 'volumes').map((volume) =>
        textAt(volume, 'configMap', 'name'),
      ),
    );
    const file = files.find(({ configMap }) => names.has(configMap));
    return file === undefined ? [] : [[arm.name, file.sha256] as const];
  });
  return Object.fromEntries(used);
}

/** A definition with its own files or those of the cluster, and their digests. */
export interface SpecWithFiles {
  readonly spec: ModelSpec;
  readonly artifacts: Artifacts;
}

/**
 * A definition by REST names a file without its bytes: it gets the bytes that the arm has. A file
 * that is not in the cluster stays absent, and `objectsOf` reports it.
 */
export function withConfigMapFiles(
  spec: ModelSpec,
  before: StoredModel | undefined,
  files: readonly ConfigMapFile[],
): SpecWithFiles {
  const fill = (arm: Arm): Arm => {
    const { source } = arm;
    if (source === undefined || source.scheme !== 'file' || source.content !== undefined)
      return arm;
    const digest = pinOf(spec, arm, before)?.digest;
    const content = files.find(({ sha256 }) => sha256 === digest);
    return content === undefined ? arm : { ...arm, source: { ...source, content } };
  };
  const [stable, ...rest] = spec.arms;
  const arms = [fill(stable), ...rest.map(fill)] as const;
  const digests = arms.flatMap(({ name, source }) =>
    source?.content === undefined ? [] : [[name, source.content.sha256] as const],
  );
  return { spec: { ...spec, arms }, artifacts: Object.fromEntries(digests) };
}
