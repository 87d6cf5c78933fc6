import { readFileSync } from 'node:fs';
import { join } from 'node:path';

declare const PACKAGE_VERSION: string | undefined;

function packageVersion(): string {
  const text = readFileSync(join(__dirname, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Version of the package; the bundle contains it, a checkout reads it. */
export const VERSION = typeof PACKAGE_VERSION === 'string' ? PACKAGE_VERSION : packageVersion();
