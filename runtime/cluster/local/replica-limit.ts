import { totalmem } from 'node:os';
import type { Arm } from '../../../lib/spec';
import { quantityValue } from '../../../lib/spec';
import { memoryOf } from '../../shared/held-bytes';
import type { ArmRecord } from '../port';
import { ClusterError } from '../port';

/** Memory of an ONNX server process before it loads a model. */
const BARE_PROCESS_BYTES = 64 * 2 ** 20;

/** Memory of the machine, or the limit of its container. */
const memoryHere = (): number => memoryOf(process.constrainedMemory(), totalmem());

/** An arm and its desired number of processes. */
export interface ArmReplicas {
  readonly arm: Arm;
  readonly replicas: number;
}

/** A single replica is always allowed and counts as a bare process, whatever its request. */
function bytesOf({ arm: { resources }, replicas }: ArmReplicas): number {
  const { memory } = resources;
  if (replicas <= 1 || memory === undefined) return replicas * BARE_PROCESS_BYTES;
  return replicas * quantityValue(memory);
}

const bytesOfAll = (arms: readonly ArmReplicas[]): number =>
  arms.reduce((sum, one) => sum + bytesOf(one), 0);

/**
 * Refuses more processes than the memory allows: the kernel would kill them, and others.
 * @param arms of the model `id`, as desired
 * @param others arms of all other models
 * @throws ClusterError
 */
export function checkMemory(
  id: string,
  arms: readonly ArmReplicas[],
  others: readonly ArmReplicas[],
  totalBytes = memoryHere(),
): void {
  const [own, beside] = [bytesOfAll(arms), bytesOfAll(others)];
  if (arms.every(({ replicas }) => replicas <= 1) || own + beside <= totalBytes) return;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const counts = arms.map(({ arm, replicas }) => `${arm.name} ${replicas}`).join(', ');
  const more = beside === 0 ? '' : `, the other models take ${gib(beside)}`;
  throw new ClusterError(
    'INSUFFICIENT_RESOURCES',
    `model ${id}: its replicas (${counts}) would take ${gib(own)} of memory${more}, and this machine has ${gib(totalBytes)}; scale to fewer, or apply dist/ to Kubernetes`,
  );
}

/** The desired replicas of each arm of a model. */
export function armReplicasOf(
  arms: readonly Arm[],
  records: readonly Pick<ArmRecord, 'name' | 'desired'>[],
): readonly ArmReplicas[] {
  return arms.map((arm) => {
    const record = records.find(({ name }) => name === arm.name);
    return { arm, replicas: record?.desired ?? 0 };
  });
}
