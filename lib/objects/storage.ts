import type { Arm, ModelSpec, Source } from '../spec';
import { quantityValue } from '../spec';
import { isCached, isRemote } from './cache';
import { isArchive } from './layout';

// Limits of the volumes on the disk of a node. A volume that grows beyond its limit evicts the pod,
// so limits protect the node and are well above the need of servers.

/** Temporary files of a server. */
export const TMP_LIMIT = '4Gi';
/** Caches of compilers and libraries, which grow to some gigabytes. */
export const CACHE_LIMIT = '20Gi';
/** For an artifact whose size the definition does not state. */
const UNKNOWN_ARTIFACT_LIMIT = '200Gi';

/** Request when the size of the artifact is not stated: logs, temporary files and a small model. */
const LEAST_REQUEST_MI = 1024;

const MI = 2 ** 20;
/** An archive needs space beside its unpacked content, which is larger. */
const ARCHIVE_FACTOR = 3;
const FILE_FACTOR = 1.25;

/** Mebibytes that an artifact takes on the disk; undefined when its size is not stated. */
function artifactMi({ size, uri }: Source): number | undefined {
  if (size === undefined) return undefined;
  const factor = isArchive(uri) ? ARCHIVE_FACTOR : FILE_FACTOR;
  return Math.ceil((quantityValue(size) * factor) / MI);
}

/** In Kubernetes' own form: it returns 1024Mi as 1Gi. */
function quantityOf(mebibytes: number): string {
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`;
}

/** The limit of the volume that an artifact is loaded into. */
export function artifactLimit(source: Source): string {
  const mebibytes = artifactMi(source);
  return mebibytes === undefined ? UNKNOWN_ARTIFACT_LIMIT : quantityOf(mebibytes);
}

/** Disk request of a replica: the artifact, where each replica loads it, and the rest. */
export function ephemeralRequest(spec: ModelSpec, { source }: Arm): string {
  const loaded = source !== undefined && isRemote(source) && !isCached(spec, source);
  const artifact = loaded ? (artifactMi(source) ?? 0) : 0;
  return quantityOf(LEAST_REQUEST_MI + artifact);
}

/** Shared memory counts as memory of the container: half of it at most. */
export function sharedMemoryLimit(memory: string): string {
  return quantityOf(Math.max(1, Math.floor(quantityValue(memory) / 2 / MI)));
}
