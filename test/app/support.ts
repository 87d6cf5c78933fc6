import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../runtime/app/config';
import type { Service } from '../../runtime/app/service';
import { startService } from '../../runtime/app/service';
import type { Backend } from '../support/backend';

const DEFINITION = `
model_id: iris
version: '1'
framework: tensorrt
repository_url: s3://bucket/iris
`;

/** A folder with one model, whose servers run already. */
export function projectFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'service-'));
  mkdirSync(join(path, 'models'));
  writeFileSync(join(path, 'models', 'iris.yaml'), DEFINITION);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The service as `serve` starts it, quiet. */
export function serviceIn(
  cwd: string,
  server: string,
  backends: readonly Backend[],
): Promise<Service> {
  const quiet = (): void => undefined;
  const addresses = backends.map(({ address }) => `'${address}'`).join(', ');
  const local = `local: { endpoints: { iris: { stable: [${addresses}] } } }`;
  return startService({
    config: parseConfig([server, local].join('\n')),
    cwd,
    env: {},
    spawnServer: { command: process.execPath, args: [] },
    version: 'test',
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet } as never,
  });
}
