import { z } from 'zod';
import { LABEL_VALUE } from './kubetext';
import { cpuSchema, memorySchema } from './quantity';

/** Resource name of a GPU where no other is given. */
export const DEFAULT_GPU_RESOURCE = 'nvidia.com/gpu';

export const gpuResourceSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/,
    'a Kubernetes extended resource such as nvidia.com/gpu; write domain/name',
  );

const gpuCountSchema = z.int().min(1).max(64).describe('Whole GPUs per replica.');

export const gpuSchema = z
  .union(
    [
      gpuCountSchema,
      z.strictObject({
        count: gpuCountSchema,
        resource: gpuResourceSchema.optional().describe('Default: the environment’s.'),
        product: z
          .string()
          .min(1)
          .regex(LABEL_VALUE, 'the value of a node label; copy it from kubectl get nodes -L')
          .optional()
          .describe('Product label of the node, e.g. NVIDIA-A100-SXM4-40GB.'),
      }),
    ],
    { error: 'a whole number of GPUs, or { count, resource, product }; leave gpu out for none' },
  )
  .describe('GPUs per replica: a count, or count with resource name and product.');

export const resourcesSchema = z
  .strictObject({
    cpu: cpuSchema.optional(),
    memory: memorySchema.optional(),
    gpu: gpuSchema.optional(),
    cpuLimit: z
      .union([z.literal('none'), cpuSchema])
      .default('none')
      .describe('Upper bound of CPU; "none" (default) lets a replica use idle cores.'),
  })
  .describe('Requests of one replica. The memory limit equals the request.');

const quantityOfGpus = z
  .string()
  .regex(/^[0-9]{1,2}$/, 'a whole number of GPUs; leave gpu out for none')
  .transform(Number)
  .pipe(gpuCountSchema);

/** Requests of replicas whose definition gives none. Kubernetes writes counts as text. */
export const defaultResourcesSchema = z.strictObject({
  cpu: cpuSchema.optional(),
  memory: memorySchema.optional(),
  gpu: z
    .union([gpuSchema, quantityOfGpus], {
      error: 'a whole number of GPUs, or { count, resource, product }; leave gpu out for none',
    })
    .optional()
    .describe('For server kinds that use a GPU (triton, vllm); others get none.'),
});

export type Resources = z.output<typeof resourcesSchema>;

/** GPUs in one shape: `gpu: 1` and `gpu: { count: 1 }` are the same. */
export interface Gpu {
  readonly count: number;
  readonly resource?: string | undefined;
  readonly product?: string | undefined;
}

export function gpuOf(resources: Pick<Resources, 'gpu'>): Gpu | undefined {
  return typeof resources.gpu === 'number' ? { count: resources.gpu } : resources.gpu;
}
