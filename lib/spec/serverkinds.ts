import { z } from 'zod';

// Kinds of servers that a definition may name; servers.ts has the facts of each.

/**
 * Protocol of a server: v2 is the Open Inference Protocol, v1 KServe's, tfs TensorFlow Serving's.
 */
export const PROTOCOLS = ['native', 'v1', 'v2', 'tfs', 'openai'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** An OCI reference; a tag or digest is required and `latest` is refused. */
export const imageSchema = z
  .string()
  .max(512)
  .regex(
    /^(?:[a-zA-Z0-9.-]+(?::[0-9]+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/,
    'an image reference such as registry/name:tag; fix it',
  )
  .refine((image) => /:[^/]+$|@sha256:/.test(image), {
    error:
      'an image with a tag or digest (without one the content may change under you); add :tag or @sha256:…',
  })
  .refine((image) => !image.endsWith(':latest'), {
    error:
      'an image with a fixed tag (latest changes under you, a rollback would not go back); write the version',
  })
  .describe('Container image that brings model and server, or the server alone.');

const image = imageSchema.optional().describe('Overrides the environment’s image of this server.');
const portNumber = z.int().min(1024).max(65_535);

const onnxSchema = z.strictObject({
  kind: z.literal('onnx').describe('The built-in ONNX server; the default for framework onnx.'),
  image,
  intraOpThreads: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe('Threads within one operator. Default: by CPU.'),
  interOpThreads: z.int().min(1).max(256).optional().describe('Threads across operators.'),
});

const tensorflowServingSchema = z.strictObject({
  kind: z
    .literal('tensorflow-serving')
    .describe('TensorFlow Serving; the default for framework tensorflow.'),
  image,
  signatureName: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Signature to call. Default: serving_default.'),
  batching: z.boolean().default(false).describe('--enable_batching.'),
});

const tritonSchema = z.strictObject({
  kind: z
    .literal('triton')
    .describe('NVIDIA Triton; the default for frameworks tensorrt and pytorch.'),
  image,
  backend: z
    .enum(['onnxruntime', 'tensorrt', 'pytorch', 'tensorflow', 'python'])
    .optional()
    .describe('Backend of config.pbtxt. Default: by framework.'),
  instanceGroupCount: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('Instances of the model per replica.'),
  maxBatchSize: z
    .int()
    .min(0)
    .max(4096)
    .default(0)
    .describe('max_batch_size of config.pbtxt; 0 turns batching off.'),
});

const mlserverSchema = z.strictObject({
  kind: z
    .literal('mlserver')
    .describe('MLServer; the default for frameworks sklearn, xgboost and huggingface.'),
  image,
  implementation: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Runtime class. Default: by framework.'),
  parallelWorkers: z
    .int()
    .min(0)
    .max(64)
    .default(1)
    .describe('Worker processes; 0 runs in the main process.'),
});

const vllmSchema = z.strictObject({
  kind: z.literal('vllm').describe('vLLM; the default for framework huggingface with type llm.'),
  image,
  tensorParallelSize: z.int().min(1).max(64).default(1).describe('GPUs one model is spread over.'),
  maxModelLen: z.int().min(1).max(10_000_000).optional().describe('Context length, in tokens.'),
  gpuMemoryUtilization: z
    .number()
    .min(0.05)
    .max(1)
    .optional()
    .describe('Fraction of GPU memory to use.'),
  dtype: z
    .enum(['auto', 'half', 'float16', 'bfloat16', 'float', 'float32'])
    .optional()
    .describe('Type of the numbers it computes with. Default: as the model was saved.'),
  quantization: z.string().min(1).max(64).optional().describe('awq, gptq, fp8, …'),
});

const customSchema = z.strictObject({
  kind: z
    .literal('custom')
    .describe('An image of your own; the default for a definition with an image.'),
  image,
  protocol: z.enum(PROTOCOLS).default('native').describe('Protocol of the server in the image.'),
  port: portNumber.default(8080).describe('HTTP port of the container.'),
});

export const serverSchema = z
  .discriminatedUnion('kind', [
    onnxSchema,
    tensorflowServingSchema,
    tritonSchema,
    mlserverSchema,
    vllmSchema,
    customSchema,
  ])
  .describe('Server of the artifact.');

export type Server = z.output<typeof serverSchema>;
export type ServerKind = Server['kind'];
export type ServerOf<K extends ServerKind> = Extract<Server, { kind: K }>;
