import type { KeyEntry } from '../../lib/config';
import type { Log } from '../shared/log';
import { watchFiles } from '../shared/file-watch';
import type { KeyRing } from './keys';
import { apiKeyOf } from './keys';
import type { LoadedKeys } from './keys-file';
import { KeysFileError, NO_KEYS, readKeysFile } from './keys-file';

/** A file of keys: its path, and the name by which the configuration calls it. */
export interface KeysFile {
  readonly path: string;
  readonly file: string;
}

export interface KeyStoreOptions {
  readonly ring: KeyRing;
  /** Keys of the configuration; they are in force at once and stay. */
  readonly configured: readonly KeyEntry[];
  readonly keysFile?: KeysFile | undefined;
  readonly log: Pick<Log, 'info' | 'error'>;
}

/** A file whose newest version is not in force. */
export interface BrokenKeysFile {
  readonly file: string;
  readonly message: string;
}

/** What became of reading the file again. */
export interface ReloadCounts {
  readonly success: number;
  readonly error: number;
}

/** Keeps the ring in step with the file of keys. A faulty file leaves the last good keys in force. */
export class KeyStore {
  private readonly configured;
  private loaded: LoadedKeys = NO_KEYS;
  private fault: string | undefined;
  private reloading: Promise<void> = Promise.resolve();
  private counted = { success: 0, error: 0 };
  private stop: () => void = () => undefined;

  constructor(private readonly options: KeyStoreOptions) {
    this.configured = new Map(options.configured.map((key) => [key.sha256, apiKeyOf(key)]));
    options.ring.replace(this.configured);
  }

  /** Reads the file and follows it. @throws KeysFileError */
  async open(): Promise<void> {
    const { keysFile } = this.options;
    if (keysFile === undefined) return;
    this.stop = watchFiles([keysFile.path], () => void this.reload()).stop;
    try {
      await this.load(keysFile);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Reads the file now, after the reload that runs. Never rejects. */
  reload(): Promise<void> {
    this.reloading = this.reloading.then(() => this.reloadOnce());
    return this.reloading;
  }

  /** The file, while its newest version is not in force. */
  broken(): readonly BrokenKeysFile[] {
    const { keysFile } = this.options;
    if (keysFile === undefined || this.fault === undefined) return [];
    return [{ file: keysFile.file, message: this.fault }];
  }

  counts(): ReloadCounts {
    return this.counted;
  }

  close(): void {
    this.stop();
  }

  private async reloadOnce(): Promise<void> {
    const { keysFile, log } = this.options;
    if (keysFile === undefined) return;
    try {
      await this.load(keysFile);
      this.counted = { ...this.counted, success: this.counted.success + 1 };
      log.info('the keys were read again', { file: keysFile.file, keys: this.loaded.keys.size });
    } catch (error) {
      const known = error instanceof KeysFileError ? error.message : undefined;
      this.counted = { ...this.counted, error: this.counted.error + 1 };
      this.fault = known ?? `${keysFile.file}: could not be read`;
      log.error(`${this.fault}\nthe last good keys stay in force`);
    }
  }

  private async load({ path, file }: KeysFile): Promise<void> {
    const configured = new Set(this.configured.keys());
    this.loaded = await readKeysFile(path, file, this.loaded.items, configured);
    this.options.ring.replace(new Map([...this.configured, ...this.loaded.keys]));
    this.fault = undefined;
  }
}
