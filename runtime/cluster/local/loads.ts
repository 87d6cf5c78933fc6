import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Arm, Source } from '../../../lib/spec';
import { externalIn } from '../../../lib/synth/modelfile';
import { messageOf } from '../../core/lifecycle/fault';
import type { Why } from '../../core/lifecycle/snapshot';
import type { ArtifactFolder } from './artifacts';
import { keepModel } from './sources';

/** An artifact to load. */
export interface ArtifactRequest {
  readonly source: Pick<Source, 'uri' | 'sha256' | 'endpoint'>;
  /**
   * Its definition is a file of this machine's owner: credentials of the service may be used. A
   * definition by REST could send them to a host of its choice.
   */
  readonly trusted: boolean;
}

/** Brings the one file of a source to a folder, under this name; resumes where it was cut off. */
export type FetchSource = (
  wanted: ArtifactRequest,
  place: { readonly to: string; readonly as: string },
  log: (line: string) => void,
) => Promise<void>;

/** A waiter for an artifact. */
export interface LoadListener {
  /** Called when there is progress, or the load may be retried. */
  readonly changed: () => void;
  /** Called with the digest, while the bytes are held. */
  readonly done: (digest: string) => void;
}

export interface LoadsOptions {
  /** Absent: this service loads no artifacts. */
  readonly fetch: FetchSource | undefined;
  /** Folder of downloads in progress. */
  readonly folder: string;
  readonly artifacts: ArtifactFolder;
  readonly warn: (message: string) => void;
  readonly info: (message: string) => void;
  readonly now: () => number;
}

interface Load {
  readonly since: number;
  readonly waiting: Set<LoadListener>;
  line: string;
}

interface Failure {
  readonly why: Why;
  readonly timer: NodeJS.Timeout;
  readonly waiting: Set<LoadListener>;
}

/** Pause after a failed load. */
const AGAIN_MS = 30_000;
const NAME = 'model.onnx';

function keyOf({ source: { uri, sha256, endpoint }, trusted }: ArtifactRequest): string {
  const parts = JSON.stringify([uri, sha256, endpoint, trusted]);
  return createHash('sha256').update(parts).digest('hex');
}

/** Without its query, which may be a signature. */
const shownUri = ({ source }: ArtifactRequest): string => source.uri.replace(/[?#].*$/s, '');

/** Loads artifacts from object stores, registries and the web; each source once at a time. */
export class Loads {
  private readonly running = new Map<string, Load>();
  private readonly failed = new Map<string, Failure>();
  private isClosed = false;

  constructor(private readonly options: LoadsOptions) {}

  get isAble(): boolean {
    return this.options.fetch !== undefined;
  }

  /** Starts a load unless one runs or has just failed; returns the status of the waiting arm. */
  begin(arm: Arm, wanted: ArtifactRequest, waiting: LoadListener): Why {
    const key = keyOf(wanted);
    const failure = this.failed.get(key);
    if (failure !== undefined) {
      failure.waiting.add(waiting);
      return failure.why;
    }
    const load = this.running.get(key) ?? this.start(key, wanted);
    load.waiting.add(waiting);
    const message = `the artifact of ${arm.name} is being loaded: ${load.line}`;
    return { cause: 'artifact-loading', message, object: shownUri(wanted), since: load.since };
  }

  close(): void {
    this.isClosed = true;
    for (const { timer } of this.failed.values()) clearTimeout(timer);
  }

  private start(key: string, wanted: ArtifactRequest): Load {
    const load: Load = { since: this.options.now(), waiting: new Set(), line: shownUri(wanted) };
    this.running.set(key, load);
    this.load(key, wanted, load).then(
      (digest) => this.succeed(key, load, digest),
      (error: unknown) => this.fail(key, load, wanted, error),
    );
    return load;
  }

  private async load(key: string, wanted: ArtifactRequest, load: Load): Promise<string> {
    const { fetch, folder, artifacts, info } = this.options;
    if (fetch === undefined) throw new Error('this service loads no artifacts');
    const to = join(folder, key);
    await fetch(wanted, { to, as: NAME }, (line) => {
      info(line);
      load.line = line;
      notifyAll(load);
    });
    const file = join(to, NAME);
    const isWhole = (await externalIn(file)).length === 0;
    const digest = await (isWhole ? artifacts.keepFile(file) : keepModel(to, artifacts, NAME));
    await rm(to, { recursive: true, force: true });
    return digest;
  }

  private succeed(key: string, load: Load, digest: string): void {
    this.running.delete(key);
    try {
      if (!this.isClosed) for (const { done } of load.waiting) done(digest);
    } catch (error) {
      this.options.warn(`an artifact that was loaded could not be kept: ${messageOf(error)}`);
    } finally {
      this.options.artifacts.release([digest]);
    }
    notifyAll(load);
  }

  private fail(key: string, load: Load, wanted: ArtifactRequest, error: unknown): void {
    this.running.delete(key);
    if (this.isClosed) return;
    const { warn, now } = this.options;
    const message = `its artifact could not be loaded: ${messageOf(error)}; it is tried again every ${AGAIN_MS / 1000} s`;
    warn(message);
    const why: Why = {
      cause: 'artifact-unavailable',
      message,
      object: shownUri(wanted),
      since: now(),
    };
    const waiting = new Set<LoadListener>();
    const again = (): void => {
      this.failed.delete(key);
      notifyAll({ waiting });
    };
    this.failed.set(key, { why, waiting, timer: setTimeout(again, AGAIN_MS).unref() });
    notifyAll(load);
  }
}

/** A listener may call `begin` again. */
function notifyAll({ waiting }: Pick<Load, 'waiting'>): void {
  const all = [...waiting];
  waiting.clear();
  for (const { changed } of all) changed();
}
