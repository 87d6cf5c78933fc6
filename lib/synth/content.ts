import { dirname, resolve } from 'node:path';
import type { Fault, FileContent, ModelSpec, Source } from '../spec';
import { armPath, fault, fileDigest, filePathOf, show, withFiles } from '../spec';
import type { ReadArtifact } from './artifactfile';
import { formatOf, readArtifact } from './artifactfile';

function faultOf(path: string, { uri, sha256 }: Source, read: ReadArtifact): readonly Fault[] {
  if ('allowed' in read) return [fault(path, uri, read.allowed, 'correct the path')];
  if ('problem' in read) {
    const { problem, fix } = read;
    return [
      { path, message: `${uri} ${problem}; ${fix}`, got: show(uri), allowed: 'a whole model' },
    ];
  }
  const digest = fileDigest(read.content);
  if (sha256 === undefined || sha256 === digest) return [];
  return [
    fault(
      `${path}.sha256`,
      sha256,
      `the digest of ${uri}, ${digest}`,
      'find out which of the two is wrong',
    ),
  ];
}

interface Filled {
  readonly spec: ModelSpec;
  readonly faults: readonly Fault[];
}

/**
 * Reads the `file` sources of a definition, relative to its file, and checks them: an artifact that
 * its server could not load is a fault, and so is a digest other than the stated one.
 */
export async function readSources(spec: ModelSpec, file: string): Promise<Filled> {
  const reads = new Map<string, ReadArtifact>();
  for (const arm of spec.arms) {
    const { scheme, uri = '' } = arm.source ?? {};
    if (scheme !== 'file' || reads.has(uri)) continue;
    const path = resolve(dirname(file), filePathOf(uri));
    reads.set(uri, await readArtifact(path, formatOf(spec, arm, path)));
  }
  const faults = spec.arms.flatMap((arm) => {
    const { source } = arm;
    const given = reads.get(source?.uri ?? '');
    if (source?.scheme !== 'file' || given === undefined) return [];
    // A candidate that inherits its source repeats the fault of stable.
    const inherited = arm.name !== spec.arms[0].name && source === spec.source;
    return inherited ? [] : faultOf(armPath(spec, arm, 'source'), source, given);
  });
  if (faults.length > 0) return { spec, faults };
  const content = (uri: string): FileContent => {
    const given = reads.get(uri);
    if (given === undefined || !('content' in given)) throw new Error(`${uri} was not read`);
    return given.content;
  };
  return { spec: withFiles(spec, content), faults };
}
