import { resolve } from 'node:path';
import type { TlsCounts } from '../metrics';
import { clock } from '../shared/clock';
import type { ServerCertificate } from '../shared/server-certificate';
import { openServerCertificate } from '../shared/server-certificate';
import type { Config } from './config';
import { ConfigError } from './config';
import type { ServiceOptions } from './service-options';

/**
 * The certificate of the public port and of the one for gRPC; undefined: there is none.
 * @throws ConfigError when it cannot be used
 */
export function openTls({ config, cwd, log }: ServiceOptions): ServerCertificate | undefined {
  const { tls } = config.server;
  if (tls === undefined) return undefined;
  const files = {
    cert: resolve(cwd, tls.cert),
    key: resolve(cwd, tls.key),
    ...(tls.clientCa !== undefined && { clientCa: resolve(cwd, tls.clientCa) }),
  };
  try {
    return openServerCertificate({ ...files, now: clock.now, log });
  } catch (error) {
    throw new ConfigError(`server.tls: ${(error as Error).message}`);
  }
}

/** The newest certificate, where it cannot be used; for the health. */
export function brokenTlsFiles(
  tls: ServerCertificate | undefined,
  { server }: Config,
): readonly { readonly file: string; readonly message: string }[] {
  const fault = tls?.fault();
  return fault === undefined ? [] : [{ file: server.tls?.cert ?? '', message: fault }];
}

export function tlsCountsOf(tls: ServerCertificate | undefined): TlsCounts {
  const notAfterSeconds = tls === undefined ? 0 : tls.notAfter() / 1000;
  return { notAfterSeconds, faulty: tls?.fault() === undefined ? 0 : 1 };
}
