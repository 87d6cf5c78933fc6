import type { Arm, ModelSpec, Source } from '../../../lib/spec';
import type { Artifacts, ArtifactPin, StoredModel } from '../registry';
import { matchesPin, pinOf } from '../registry';
import type { ArtifactFolder } from './artifacts';
import { digestOf } from './disk';
import { besideInside, BrokenSource, fileInside, isNotAModel, refusal } from './artifact-path';
import { setEntry } from '../../../lib/spec/entry';
import { modelPieces, streamed } from '../../../lib/synth/modelfile';

/** Where the bytes of an arm are looked up. */
export interface Sources {
  /** The models folder. */
  readonly folder: string;
  readonly artifacts: ArtifactFolder;
}

/** Stores a model of the models folder with its external weights. */
export async function keepModel(
  folder: string,
  artifacts: ArtifactFolder,
  uri: string,
): Promise<string> {
  const path = fileInside(folder, uri);
  const read = await modelPieces(path, 'onnx', besideInside(folder, path));
  if ('problem' in read) throw new BrokenSource(uri, read);
  if (isNotAModel(path, read.doubt)) throw new BrokenSource(uri, read.doubt);
  return read.isJoined ? artifacts.keepPieces(streamed(read.pieces)) : artifacts.keepFile(path);
}

/** Looks up the bytes of arms; `held` collects what the caller must release. */
class ArtifactStaging {
  readonly held: string[] = [];
  /** Arms that share a source get the same bytes, read once. */
  private readonly copies = new Map<string, string>();

  constructor(
    private readonly spec: ModelSpec,
    private readonly before: StoredModel | undefined,
    private readonly sources: Sources,
  ) {}

  async digestOf(arm: Arm, source: Source): Promise<string> {
    const pin = pinOf(this.spec, arm, this.before);
    const digest = await this.bytesOf(source, pin);
    const { uri, sha256 } = source;
    if (sha256 === undefined || sha256 === digest) return digest;
    if (pin?.digest === digest && matchesPin(pin, sha256)) return digest;
    // For a model joined with its weights the definition states the digest of the file itself.
    if (sha256 === (await this.fileDigest(uri))) return digest;
    throw refusal(
      uri,
      `which has sha256 ${digest}, must be ${sha256}`,
      'find out which of the two is wrong',
    );
  }

  /** Digest of a remote source that was loaded before and still matches. */
  async loadedOf(arm: Arm, { sha256 }: Source): Promise<string | undefined> {
    const pin = pinOf(this.spec, arm, this.before);
    const known = pin?.firm === true && matchesPin(pin, sha256) ? pin.digest : sha256;
    return known !== undefined && (await this.hold(known)) ? known : undefined;
  }

  /**
   * The bytes read with the definition; else those a revision pinned; else the file in the models
   * folder; else the earlier bytes of this URI.
   */
  private async bytesOf(
    { uri, content, sha256 }: Source,
    pin: ArtifactPin | undefined,
  ): Promise<string> {
    if (content !== undefined) return this.given(uri, content);
    const fits = pin !== undefined && matchesPin(pin, sha256);
    if (fits && pin.firm && (await this.hold(pin.digest))) return pin.digest;
    try {
      return await this.keepFile(uri);
    } catch (error) {
      // A broken file is the intended one: do not fall back to the bytes of another version.
      if (error instanceof BrokenSource) throw error;
      if (fits && (await this.hold(pin.digest))) return pin.digest;
      throw error;
    }
  }

  private async given(uri: string, content: NonNullable<Source['content']>): Promise<string> {
    const { sha256, pieces = () => [content.bytes] } = content;
    if (await this.hold(sha256)) return sha256;
    const digest = this.took(await this.sources.artifacts.keepPieces(pieces()));
    if (digest === sha256) return digest;
    throw refusal(uri, 'which changed while it was read', 'apply it again when it is complete');
  }

  private async keepFile(uri: string): Promise<string> {
    const { folder, artifacts } = this.sources;
    const copied = this.copies.get(uri);
    if (copied !== undefined) return copied;
    const digest = this.took(await keepModel(folder, artifacts, uri));
    this.copies.set(uri, digest);
    return digest;
  }

  private async fileDigest(uri: string): Promise<string | undefined> {
    const { folder, artifacts } = this.sources;
    try {
      return this.took(await artifacts.keepFile(fileInside(folder, uri)));
    } catch {
      return undefined;
    }
  }

  private async hold(digest: string): Promise<boolean> {
    const well = await this.sources.artifacts.hold(digest);
    if (well) this.took(digest);
    return well;
  }

  private took(digest: string): string {
    this.held.push(digest);
    return digest;
  }
}

/**
 * Stores the bytes of these arms in the artifact folder and holds them while `use` runs.
 * @throws ClusterError when they are missing or do not match the definition
 */
export async function withArtifacts<T>(
  sources: Sources,
  {
    spec,
    arms,
    before,
  }: { spec: ModelSpec; arms: readonly Arm[]; before: StoredModel | undefined },
  use: (artifacts: Artifacts) => T,
): Promise<T> {
  const stage = new ArtifactStaging(spec, before, sources);
  try {
    const found: Record<string, string> = {};
    for (const arm of arms) {
      const { source } = arm;
      const digest =
        source?.scheme === 'file'
          ? await stage.digestOf(arm, source)
          : source && (await stage.loadedOf(arm, source));
      if (digest !== undefined) setEntry(found, arm.name, digest);
    }
    return use(found);
  } finally {
    sources.artifacts.release(stage.held);
  }
}

/** Keeps a damaged or lost artifact again from its file in the models folder, if that is there. */
async function repairArtifact({ folder, artifacts }: Sources, digest: string, uri: string) {
  const held: string[] = [];
  try {
    if (await artifacts.hold(digest)) held.push(digest);
    else held.push(await keepModel(folder, artifacts, uri));
  } catch {
    // The file is gone or broken: `isIntact` stays false, and the arm's status says why.
  } finally {
    artifacts.release(held);
  }
}

/** Checks the stored artifacts of these arms and repairs them where that is possible. */
export async function repairArtifacts(
  sources: Sources,
  stored: StoredModel,
  arms: readonly Arm[],
): Promise<void> {
  for (const arm of arms) {
    const digest = digestOf(stored, arm);
    if (digest === undefined || arm.source === undefined) continue;
    await repairArtifact(sources, digest, arm.source.uri);
  }
}
