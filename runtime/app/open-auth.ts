import { resolve } from 'node:path';
import type { Authentication } from '../auth';
import { createAuthenticate } from '../auth';
import { clock } from '../shared/clock';
import { isLoopback } from '../shared/origins';
import type { ServiceOptions } from './service-options';

/**
 * How callers are recognized.
 * @throws KeysFileError when the file of keys cannot be used
 */
export async function openAuth({ config, cwd, log }: ServiceOptions): Promise<Authentication> {
  const { keysFile } = config.auth;
  const auth = createAuthenticate(config.auth, {
    loopback: isLoopback(config.server.host),
    keysFile: keysFile === undefined ? undefined : { path: resolve(cwd, keysFile), file: keysFile },
    now: clock.now,
    log,
  });
  await auth.open();
  return auth;
}
