import type { Command } from 'commander';
import { Option } from 'commander';
import type * as Auth from '../../runtime/auth';
import type { ListedKey } from '../keys-file';
import { KeysFileEdit } from '../keys-file';
import type { CommandContext } from '../command-context';

const SCOPES = ['infer', 'read', 'write', 'admin', 'arms'];

interface CreateOptions {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly models?: readonly string[];
  readonly expires?: string;
  readonly file?: string;
}

interface FileOptions {
  readonly file: string;
}

/** The lines of the configuration that let a key in. */
function configLines(entry: object): string {
  const lines = Object.entries(entry)
    .filter(([, value]) => value !== undefined)
    .map(([field, value]) => {
      const text = Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
      return `${field}: ${field === 'name' ? JSON.stringify(value) : text}`;
    });
  return ['auth:', '  mode: api_key', '  keys:', `    - ${lines.join('\n      ')}`, ''].join('\n');
}

function create({ io, format }: CommandContext) {
  return async ({ name, scopes, models, expires, file }: CreateOptions): Promise<void> => {
    const { newKey } = require('../../runtime/auth') as typeof Auth;
    const { key, sha256 } = newKey();
    const entry = { name, sha256, scopes, models, expires };
    if (file !== undefined) await new KeysFileEdit(file, io.cwd).add(entry);
    if (format() === 'json') {
      io.out(`${JSON.stringify({ key, config: entry })}\n`);
      return;
    }
    io.err('The key is shown once and not stored; give it to the caller (header X-API-Key):\n');
    io.out(`${key}\n`);
    if (file !== undefined) return io.err(`\nadded to ${file}: ${name} ${sha256.slice(0, 12)}\n`);
    io.err('\nconfig.yaml:\n');
    io.out(configLines(entry));
  };
}

function row({ name, sha256, scopes, models, expires }: ListedKey, now: Date): string {
  const isOver = expires !== undefined && new Date(expires) <= now;
  const end = expires === undefined ? 'never' : `${expires}${isOver ? ' (expired)' : ''}`;
  const which = models?.join(',') ?? 'all models';
  return [name, sha256.slice(0, 12), scopes.join(','), which, end].join('\t');
}

/** Shows keys, never more of them than a digest. */
function show({ io, format }: CommandContext, keys: readonly ListedKey[]): void {
  if (format() === 'json') io.out(`${JSON.stringify({ keys })}\n`);
  else for (const one of keys) io.out(`${row(one, io.now())}\n`);
}

function addCreate(command: Command, context: CommandContext): void {
  command
    .option('--name <name>', 'name of the caller; shown in logs and audit', 'my-app')
    .addOption(
      new Option('--scopes <scopes...>', 'rights of the key')
        .choices(SCOPES)
        .default(['infer', 'read']),
    )
    .option('--models <ids...>', 'only these models')
    .option('--expires <time>', 'when it ends, such as 2027-01-31T00:00:00Z')
    .option('--file <file>', 'file of keys (auth.keys_file) that it is added to')
    .action(create(context));
}

/** Makes, lists and revokes keys. The key itself is not stored. */
export function addKeys(program: Command, context: CommandContext): void {
  const keys = program
    .command('keys')
    .description('API keys: make one, and list or revoke those of a file (auth.keys_file).')
    .addHelpText(
      'after',
      `
Example:
  ai-model-service keys --name clinic-app --scopes infer
  ai-model-service keys create --name clinic-app --scopes infer --file keys.yaml
  ai-model-service keys list --file keys.yaml
  ai-model-service keys revoke clinic-app --file keys.yaml`,
    );
  addCreate(
    keys
      .command('create', { isDefault: true })
      .description('Make a key and the lines that let it in.'),
    context,
  );
  const { io } = context;
  keys
    .command('list')
    .description('The keys of a file: name, digest, scopes, models, end.')
    .requiredOption('--file <file>', 'file of keys')
    .action(async ({ file }: FileOptions) =>
      show(context, await new KeysFileEdit(file, io.cwd).list()),
    );
  keys
    .command('revoke')
    .description('Remove keys from a file; a running service refuses them within two seconds.')
    .argument('<name>', 'name of the caller, or the first eight or more digits of the digest')
    .requiredOption('--file <file>', 'file of keys')
    .action(async (name: string, { file }: FileOptions) =>
      show(context, await new KeysFileEdit(file, io.cwd).revoke(name)),
    );
}
