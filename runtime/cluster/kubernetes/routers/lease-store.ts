import { MANAGER } from '../../../../lib/objects';
import type { LeaseRecord } from '../../../core/lifecycle/lease';
import type { StoredLease, LeaseStore } from '../../elector';
import type { KubeApi, KubeObject } from '../client/api';
import { isWriteConflict } from '../client/api-error';
import { apiVersionOf, RESOURCES } from '../client/resources';

/** Name of the one lease; `ModelService` renders it. */
const LEASE_NAME = MANAGER;

/** `spec` of coordination.k8s.io/v1 Lease; every field may be absent. */
interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly leaseDurationSeconds?: number | null;
  readonly acquireTime?: string | null;
  readonly renewTime?: string | null;
  readonly leaseTransitions?: number | null;
}

const millis = (time: string | null | undefined): number => Date.parse(time ?? '') || 0;

/** MicroTime: the API server refuses a time without six digits. */
const microTime = (at: number): string => new Date(at).toISOString().replace('Z', '000Z');

/** A newly rendered lease has no holder. */
function recordIn({ spec }: KubeObject): LeaseRecord {
  const { holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions } =
    (spec ?? {}) as LeaseSpec;
  return {
    holder: holderIdentity ?? '',
    durationSeconds: leaseDurationSeconds ?? 0,
    acquiredAt: millis(acquireTime),
    renewedAt: millis(renewTime),
    transitions: leaseTransitions ?? 0,
  };
}

function specOf(record: LeaseRecord): LeaseSpec {
  return {
    holderIdentity: record.holder,
    leaseDurationSeconds: record.durationSeconds,
    acquireTime: microTime(record.acquiredAt),
    renewTime: microTime(record.renewedAt),
    leaseTransitions: record.transitions,
  };
}

async function unlessBeaten(write: Promise<KubeObject>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isWriteConflict(error)) return false;
    throw error;
  }
}

/** The Lease in the service's namespace; writes fail when it changed since the read. */
export function createLeaseStore(
  api: Pick<KubeApi, 'get' | 'create' | 'patch'>,
  namespace: string,
): LeaseStore {
  const { Lease } = RESOURCES;
  const options = { manager: MANAGER };
  return {
    read: async (): Promise<StoredLease | undefined> => {
      const found = await api.get(Lease, namespace, LEASE_NAME);
      if (found === undefined) return undefined;
      return { record: recordIn(found), version: found.metadata.resourceVersion ?? '' };
    },
    write: (record, version) => {
      const spec = specOf(record);
      if (version === undefined) {
        const metadata = { name: LEASE_NAME, namespace };
        const object = { apiVersion: apiVersionOf(Lease), kind: Lease.kind, metadata, spec };
        return unlessBeaten(api.create(object, options));
      }
      const patch = { metadata: { resourceVersion: version }, spec };
      return unlessBeaten(api.patch(Lease, namespace, LEASE_NAME, patch, options));
    },
  };
}
