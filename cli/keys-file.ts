import { existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type * as Auth from '../runtime/auth';
import { CommandError } from './exit';

/** One key of a file, as `keys list` shows it. */
export interface ListedKey {
  readonly name: string;
  readonly sha256: string;
  readonly scopes: readonly string[];
  readonly models: readonly string[] | undefined;
  readonly expires: string | undefined;
}

const auth = (): typeof Auth => require('../runtime/auth') as typeof Auth;

/** A file of keys (`auth.keys_file`) that a command reads or changes. */
export class KeysFileEdit {
  private readonly path: string;

  constructor(
    private readonly file: string,
    cwd: string,
  ) {
    this.path = resolve(cwd, file);
  }

  private text(): string | undefined {
    return existsSync(this.path) ? readFileSync(this.path, 'utf8') : undefined;
  }

  /** @throws CommandError when the file is missing, KeysFileError when it has faults */
  private async read(): Promise<{
    readonly text: string;
    readonly items: Auth.LoadedKeys['items'];
  }> {
    const text = this.text();
    if (text === undefined) {
      const create = `ai-model-service keys create --file ${this.file}`;
      throw new CommandError(`${this.file}: no such file; make it with: ${create}`);
    }
    const { items } = await auth().parseKeys(text, this.file);
    return { text, items };
  }

  async list(): Promise<readonly ListedKey[]> {
    const { items } = await this.read();
    return [...items.values()].map(listed);
  }

  /** @throws KeysFileError when the file has faults; it stays as it is then */
  async add(key: object): Promise<void> {
    await this.write(auth().withItem(this.text(), key));
  }

  /**
   * Removes the keys of this name, or the one whose digest begins so.
   * @throws CommandError when the file has none
   */
  async revoke(named: string): Promise<readonly ListedKey[]> {
    const { text, items } = await this.read();
    const isNamed = ({ name, sha256 }: ListedKey): boolean =>
      name === named || (/^[0-9a-f]{8,64}$/.test(named) && sha256.startsWith(named));
    const gone = new Map([...items].filter(([, key]) => isNamed(listed(key))));
    if (gone.size === 0) {
      const list = `ai-model-service keys list --file ${this.file}`;
      throw new CommandError(
        `${this.file}: no key has the name, or a digest that begins with, ${named}; see: ${list}`,
      );
    }
    await this.write(auth().withoutItems(text, (item) => gone.has(item.text)));
    return [...gone.values()].map(listed);
  }

  /** By rename: the service never reads a part of it. */
  private async write(text: string): Promise<void> {
    await auth().parseKeys(text, this.file);
    const path = existsSync(this.path) ? realpathSync(this.path) : this.path;
    const next = `${path}.${process.pid}.new`;
    writeFileSync(next, text);
    renameSync(next, path);
  }
}

function listed({ sha256, result, expiresAt }: Auth.ApiKey): ListedKey {
  const { name, scopes, models } = result.caller;
  const expires = expiresAt === Infinity ? undefined : new Date(expiresAt).toISOString();
  return { name, sha256, scopes, models, expires };
}
