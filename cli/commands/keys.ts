import type { Command } from 'commander';
import { Option } from 'commander';
import type * as Auth from '../../runtime/auth';
import type { CommandContext } from '../command-context';

const SCOPES = ['infer', 'read', 'write', 'admin', 'arms'];

interface Options {
  readonly name: string;
  readonly scopes: readonly string[];
}

/** Prints a key and the lines of the configuration that accept it. The key itself is not stored. */
export function addKeys(program: Command, { io, format }: CommandContext): void {
  program
    .command('keys')
    .description('Make an API key and the lines for config.yaml that let it in.')
    .option('--name <name>', 'name of the caller; shown in logs and audit', 'my-app')
    .addOption(
      new Option('--scopes <scopes...>', 'rights of the key')
        .choices(SCOPES)
        .default(['infer', 'read']),
    )
    .addHelpText('after', '\nExample:\n  ai-model-service keys --name clinic-app --scopes infer')
    .action(({ name, scopes }: Options) => {
      const { newKey } = require('../../runtime/auth') as typeof Auth;
      const { key, sha256 } = newKey();
      if (format() === 'json') {
        io.out(`${JSON.stringify({ key, config: { name, sha256, scopes } })}\n`);
        return;
      }
      io.err('The key is shown once and not stored; give it to the caller (header X-API-Key):\n');
      io.out(`${key}\n`);
      io.err('\nconfig.yaml:\n');
      io.out(
        [
          'auth:',
          '  mode: api_key',
          '  keys:',
          `    - name: ${JSON.stringify(name)}`,
          `      sha256: ${sha256}`,
          `      scopes: [${scopes.join(', ')}]`,
          '',
        ].join('\n'),
      );
    });
}
