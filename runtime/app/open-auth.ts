import { resolve } from 'node:path';
import type { Authentication } from '../auth';
import { createAuthenticate } from '../auth';
import { ConfigError } from './config';
import { clock } from '../shared/clock';
import { isLoopback } from '../shared/origins';
import { trustedProxiesOf } from '../shared/trusted-proxies';
import type { ServiceOptions } from './service-options';

/**
 * How callers are recognized.
 * @throws ConfigError, or KeysFileError when the file of keys cannot be used
 */
export async function openAuth({ config, cwd, log }: ServiceOptions): Promise<Authentication> {
  const { keysFile, mode, jwt } = config.auth;
  if ((mode === 'jwt' || mode === 'both') && jwt === undefined) {
    throw new ConfigError(`auth.mode: ${mode} needs auth.jwt with issuer and audience; add it`);
  }
  if (config.auth.clientCerts.length > 0 && config.server.tls?.clientCa === undefined) {
    throw new ConfigError('auth.client_certs needs server.tls.client_ca; add it');
  }
  const auth = createAuthenticate(config.auth, {
    loopback: isLoopback(config.server.host),
    keysFile: keysFile === undefined ? undefined : { path: resolve(cwd, keysFile), file: keysFile },
    clock,
    log,
    trust: trustedProxiesOf(config.server.trustedProxies),
  });
  await auth.open();
  return auth;
}
