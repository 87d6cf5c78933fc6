import { z } from 'zod';
import type {
  ZodOpenApiOperationObject,
  ZodOpenApiPathItemObject,
  ZodOpenApiPathsObject,
} from 'zod-openapi';
import { idSchema, versionSchema } from '../../../lib/spec';
import type { OPENAI_CALLS } from '../../core/routing/capabilities';
import { V1_ACTIONS } from '../../core/routing/capabilities';
import type { ErrorCode } from '../../core/routing/error-codes';
import { errorAnswers } from './errors';
import { CHAT, SCORES } from './examples';

/**
 * Calls of the data plane. It checks requests by hand, for speed; its tests compare it with this
 * document.
 */

const input = z.record(z.string(), z.unknown()).describe('By name of the model’s inputs.');
const parameters = z.record(z.string(), z.unknown()).optional();
const timeout = z.number().min(1).max(300).optional().describe('Seconds, for everything.');
const seconds = z.number().min(0).describe('Seconds.');

const inferenceRequest = z
  .strictObject({
    input_data: input,
    parameters,
    timeout,
    priority: z.enum(['low', 'normal', 'high', 'critical']).optional(),
  })
  .meta({
    id: 'InferenceRequest',
    example: { input_data: { symptoms: ['头痛', '乏力'] }, timeout: 5, priority: 'high' },
  });

const result = {
  model_id: idSchema,
  model_version: versionSchema,
  output_data: z.unknown(),
  confidence: z
    .union([z.number(), z.array(z.number().nullable())])
    .nullable()
    .describe('Of a call of one row; of several rows a list with a number for each.'),
};

const inferenceResponse = z
  .object({
    request_id: z.string(),
    ...result,
    processing_time: seconds,
    timestamp: z.iso.datetime(),
  })
  .meta({ id: 'InferenceResponse' });

const batchRequest = z
  .strictObject({
    requests: z.array(z.strictObject({ input_data: input, parameters })).min(1),
    timeout,
  })
  .meta({ id: 'BatchRequest' });

const itemError = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

const batchResponse = z
  .object({
    request_id: z.string(),
    model_id: idSchema,
    results: z
      .array(z.union([z.object(result).partial(), itemError]))
      .describe('In the order of the requests.'),
    succeeded: z.int(),
    failed: z.int(),
    processing_time: seconds,
  })
  .meta({ id: 'BatchResponse' });

const COMMON: readonly ErrorCode[] = [
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'CLUSTER_UNAVAILABLE',
  'INTERNAL',
];

/** Errors of calls about a model: they are routed, but neither queued nor read. */
const ABOUT: readonly ErrorCode[] = [
  ...COMMON,
  'RATE_LIMITED',
  'INVALID_REQUEST',
  'MODEL_NOT_FOUND',
  'UPSTREAM_ERROR',
  'UPSTREAM_PROTOCOL_ERROR',
  'NO_READY_REPLICA',
  'INFERENCE_TIMEOUT',
];

const INFER: readonly ErrorCode[] = [
  ...ABOUT,
  'REQUEST_TIMEOUT',
  'PAYLOAD_TOO_LARGE',
  'QUEUE_FULL',
  'UNSUPPORTED_MEDIA_TYPE',
];

const json = (schema: z.ZodType) => ({ 'application/json': { schema } });
const modelPath = z.object({ id: idSchema });

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly request?: z.ZodType;
  readonly answer: z.ZodType;
  readonly path?: z.ZodObject;
  readonly errors: readonly ErrorCode[];
  /** 503 is a regular response of this call. */
  readonly probe?: boolean;
}

const foreign = z
  .looseObject({})
  .describe('As the protocol says; bytes pass untouched where the model’s server speaks it.');

function native(described: Described): ZodOpenApiOperationObject {
  const { operationId, summary, description, request, answer, errors } = described;
  const { path = modelPath } = described;
  return {
    operationId,
    summary,
    ...(description !== undefined && { description }),
    tags: ['Inference'],
    ...(Object.keys(path.shape).length > 0 && { requestParams: { path } }),
    ...(request !== undefined && { requestBody: { required: true, content: json(request) } }),
    responses: {
      200: { description: 'Answered.', content: json(answer) },
      ...errorAnswers(errors),
    },
  };
}

/** Errors of other protocols have the shape of their protocol: `{"error": …}`. */
function passthrough(described: Omit<Described, 'answer'>): ZodOpenApiOperationObject {
  const { responses, ...rest } = native({ ...described, answer: foreign });
  const shape = z.looseObject({ error: z.unknown() });
  const errors = Object.keys(responses)
    .filter((status) => status !== '200')
    .map((status) => [
      status,
      { description: 'An error in the shape of the protocol.', content: json(shape) },
    ]);
  const notReady = described.probe === true && {
    503: { description: 'Not ready.', content: json(foreign) },
  };
  return {
    ...rest,
    responses: { 200: responses['200'], ...Object.fromEntries(errors), ...notReady },
  };
}

const versioned = z.object({ id: idSchema, version: versionSchema });
const nowhere = z.object({});

/** A GET that is not about a model. */
const question = (
  operationId: string,
  summary: string,
  more: Partial<Pick<Described, 'errors' | 'probe'>> = {},
): ZodOpenApiPathItemObject => ({
  get: passthrough({ operationId, errors: COMMON, summary, path: nowhere, ...more }),
});

const OTHERWISE =
  'A model whose server speaks another protocol is called in that protocol; a request that it cannot express is refused with 400.';
const V2 = `Open Inference Protocol V2, JSON or binary tensors. ${OTHERWISE}`;
const V1 = `KServe V1 and TensorFlow Serving. ${OTHERWISE}`;

const V2_PATHS: ZodOpenApiPathsObject = {
  '/v2': question('v2Server', 'Server metadata'),
  '/v2/health/live': question('v2Live', 'Is the router up?'),
  '/v2/health/ready': question('v2Ready', 'Is the router ready?', { probe: true }),
  '/v2/models/{id}': {
    get: passthrough({
      operationId: 'v2Model',
      errors: ABOUT,
      summary: 'Model metadata',
      description: V2,
    }),
  },
  '/v2/models/{id}/ready': {
    get: passthrough({
      operationId: 'v2ModelReady',
      errors: [...COMMON, 'MODEL_NOT_FOUND'],
      probe: true,
      summary: 'Has the model a ready replica?',
    }),
  },
  '/v2/models/{id}/infer': {
    post: passthrough({
      operationId: 'v2Infer',
      errors: INFER,
      summary: 'Call a model (V2)',
      description: V2,
      request: foreign,
    }),
  },
  '/v2/models/{id}/versions/{version}/infer': {
    post: passthrough({
      operationId: 'v2InferVersion',
      errors: INFER,
      summary: 'Call the arm that runs this version (V2)',
      description: 'Needs the scope arms.',
      request: foreign,
      path: versioned,
    }),
  },
};

const V2_MORE: ZodOpenApiPathsObject = {
  '/v2/models/{id}/versions/{version}': {
    get: passthrough({
      operationId: 'v2ModelVersion',
      errors: ABOUT,
      summary: 'Metadata of the arm that runs this version',
      path: versioned,
    }),
  },
  '/v2/models/{id}/versions/{version}/ready': {
    get: passthrough({
      operationId: 'v2ModelVersionReady',
      errors: [...COMMON, 'MODEL_NOT_FOUND'],
      probe: true,
      summary: 'Has the arm that runs this version a ready replica?',
      path: versioned,
    }),
  },
  '/v2/repository/index': {
    post: passthrough({
      operationId: 'v2Index',
      errors: COMMON,
      summary: 'Models the caller may see (V2)',
      path: nowhere,
    }),
  },
};

const SCORES_MODEL = `In the example \`${SCORES}\` stands for a model on TensorFlow Serving (classify, regress) or on a server of your own that speaks V1; the built-in server has predict only.`;
const CHAT_MODEL = `In the example \`${CHAT}\` stands for a model whose server speaks OpenAI, or native for all but responses.`;

const V1_CALL_PATHS: ZodOpenApiPathsObject = Object.fromEntries(
  V1_ACTIONS.map((call) => [
    `/v1/models/{id}:${call}`,
    {
      post: passthrough({
        errors: INFER,
        operationId: `v1${call.charAt(0).toUpperCase()}${call.slice(1)}`,
        summary: `Call a model (V1, ${call})`,
        description: call === 'predict' ? V1 : `${V1} ${SCORES_MODEL}`,
        request: foreign,
      }),
    },
  ]),
);

const OPENAI_IDS: Readonly<Record<(typeof OPENAI_CALLS)[number], string>> = {
  'chat/completions': 'openaiChat',
  completions: 'openaiCompletions',
  embeddings: 'openaiEmbeddings',
  responses: 'openaiResponses',
};

const OPENAI_PATHS: ZodOpenApiPathsObject = {
  '/openai/v1/models': question('openaiModels', 'Models the caller may see (OpenAI)', {
    errors: COMMON,
  }),
  '/openai/v1/models/{id}': {
    get: passthrough({
      operationId: 'openaiModel',
      errors: [...COMMON, 'MODEL_NOT_FOUND'],
      summary: 'One of these models (OpenAI)',
      description: CHAT_MODEL,
    }),
  },
  ...Object.fromEntries(
    Object.entries(OPENAI_IDS).map(([call, operationId]) => [
      `/openai/v1/${call}`,
      {
        post: passthrough({
          operationId,
          errors: INFER,
          summary: `Call a model (OpenAI, ${call})`,
          description: `The body names the model; \`stream: true\` streams. ${OTHERWISE} ${CHAT_MODEL}`,
          request: foreign,
          path: nowhere,
        }),
      },
    ]),
  ),
};

const V1_PATHS: ZodOpenApiPathsObject = {
  '/': question('v1Live', 'Is the router up? (V1)'),
  '/v1/models': question('v1Models', 'Models the caller may see (V1)', { errors: COMMON }),
  '/v1/models/{id}': {
    get: passthrough({
      operationId: 'v1Model',
      errors: ABOUT,
      probe: true,
      summary: 'Model state',
      description: V1,
    }),
  },
  '/v1/models/{id}/metadata': {
    get: passthrough({
      operationId: 'v1Metadata',
      errors: ABOUT,
      summary: 'Model metadata',
      description: V1,
    }),
  },
  ...V1_CALL_PATHS,
};

/** The inference paths, as the document describes them. */
export const INFERENCE_PATHS: ZodOpenApiPathsObject = {
  '/api/v1/models/{id}/inference': {
    post: native({
      operationId: 'inference',
      errors: INFER,
      summary: 'Call a model',
      description:
        'The header x-user-id (or what the definition names) keeps a caller on its arm. Answers carry x-ai-model-version and x-ai-model-arm. On every inference call x-ai-model-priority (low, normal, high, critical) and x-ai-model-deadline-ms (milliseconds the caller has left) are honoured. `Accept: text/event-stream` streams the events of a model that speaks OpenAI; other models answer JSON, or 400 when the caller takes nothing else.',
      request: inferenceRequest,
      answer: inferenceResponse,
    }),
  },
  '/api/v1/models/{id}/batch_inference': {
    post: native({
      operationId: 'batchInference',
      errors: INFER,
      summary: 'Call a model with many inputs',
      description:
        'One bad item never fails the others. More than `inference.max_batch_size` items: 413.',
      request: batchRequest,
      answer: batchResponse,
    }),
  },
  ...V2_PATHS,
  ...V2_MORE,
  ...V1_PATHS,
  ...OPENAI_PATHS,
};
