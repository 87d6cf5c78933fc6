import type { Audit } from '../audit';
import type { Authentication } from '../auth';
import { ConnectionsByAddress, heapMibOf, LargeThread } from '../data';
import type { EngineCounts } from '../metrics';
import { HeldBytes } from '../shared/held-bytes';
import type { ServerCertificate } from '../shared/server-certificate';
import type { Traces } from '../traces';
import type { Config } from './config';
import { addressLimitOf, heldBytesOf } from './config-mapping';
import { auditCountsOf } from './open-audit';
import { tlsCountsOf } from './open-tls';

/** What guards the ports and their requests. */
export interface Guards {
  readonly auth: Authentication;
  readonly audit: Audit;
  /** Undefined: the ports speak plain text. */
  readonly tls: ServerCertificate | undefined;
  /** Undefined: nothing is traced. */
  readonly traces: Traces | undefined;
}

/** Reads keys and certificate again, whether they have changed or not. */
export async function reloadAll({ auth, tls }: Pick<Guards, 'auth' | 'tls'>): Promise<void> {
  tls?.reload();
  await auth.reload();
}

/** Limits of memory and connections over all callers. */
export function openLimits(config: Config, { auth, audit, tls, traces }: Guards) {
  const held = new HeldBytes(heldBytesOf(config));
  const callers = new ConnectionsByAddress(addressLimitOf(config));
  const thread = new LargeThread({ heapMib: heapMibOf(held.max) });
  const counts = (): EngineCounts => ({
    heldBytes: held.bytes,
    memoryRefused: held.refused,
    connectionsRefused: callers.refused,
    auth: auth.numbers(),
    audit: auditCountsOf(audit.status()),
    tls: tlsCountsOf(tls),
    spansDropped: traces?.dropped() ?? 0,
  });
  return { held, callers, thread, counts };
}
