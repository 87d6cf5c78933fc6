import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { createDocument } from 'zod-openapi';
import { idSchema } from '../../../lib/spec';
import type { ApiCall } from '../define-call';
import { commonErrors } from '../define-call';
import { CALLS } from '../calls';
import { errorAnswers } from './errors';
import { BODY_EXAMPLES, ID_EXAMPLES, PARAM_EXAMPLES } from './examples';
import { INFERENCE_PATHS } from './inference';
import { entryOf, setEntry } from '../../../lib/spec/entry';

const text = (description: string) => ({ description, schema: { type: 'string' } }) as const;
const REQUEST_ID = text('Taken from the request where it is valid.');
const ETAG = text('The revision, in quotes.');
const ifMatch = z
  .string()
  .optional()
  .meta({ description: 'ETag the change is meant for; another revision is answered with 412.' });

const json = (schema: z.ZodType) => ({ 'application/json': { schema } });

const ANSWER_TEXT: Readonly<Record<number, string>> = {
  200: 'As asked.',
  202: 'Accepted; the change continues in the background.',
  503: 'Not now.',
};

/** `POST /api/v1/models/{id}/scale` → `postModelsIdScale` */
function operationId({ method, path }: ApiCall): string {
  const words = path.replace('/api/v1', '').split(/[^A-Za-z0-9]+/);
  return `${method}${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}`;
}

const hasId = ({ path }: ApiCall): boolean => path.includes('{id}');
const wantsKey = ({ access }: ApiCall): boolean => access !== 'open';
const tagged = (call: ApiCall): boolean =>
  call.conditional === true || (call.method === 'get' && call.path.endsWith('{id}'));

function successes(call: ApiCall): NonNullable<ZodOpenApiOperationObject['responses']> {
  const entries = Object.entries(call.answers).map(([status, schema]) => [
    status,
    {
      description: ANSWER_TEXT[Number(status)] ?? 'Answered.',
      content: json(schema),
      headers: { 'x-request-id': REQUEST_ID, ...(tagged(call) && { ETag: ETAG }) },
    },
  ]);
  return Object.fromEntries(entries) as NonNullable<ZodOpenApiOperationObject['responses']>;
}

function paramsOf(call: ApiCall): ZodOpenApiOperationObject['requestParams'] {
  return {
    ...(hasId(call) && { path: z.object({ id: idSchema }) }),
    ...(call.query !== undefined && { query: call.query }),
    ...(call.conditional === true && { header: z.object({ 'If-Match': ifMatch }) }),
  };
}

function bodyOf({ body }: ApiCall): Pick<ZodOpenApiOperationObject, 'requestBody'> {
  if (body === undefined) return {};
  const required = !body.safeParse({}).success;
  return { requestBody: { required, content: json(body) } };
}

function operation(call: ApiCall): ZodOpenApiOperationObject {
  const { summary, description, tag, access, errors } = call;
  return {
    operationId: operationId(call),
    summary,
    description: [description, `Scope: ${access}.`].filter((part) => part !== undefined).join(' '),
    tags: [tag],
    requestParams: paramsOf(call),
    ...bodyOf(call),
    responses: { ...errorAnswers([...commonErrors(call), ...errors]), ...successes(call) },
    ...(wantsKey(call) ? {} : { security: [] }),
  };
}

function paths(): ZodOpenApiPathsObject {
  const all: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const call of CALLS) {
    setEntry(all, call.path, { ...entryOf(all, call.path), [call.method]: operation(call) });
  }
  return { ...all, ...INFERENCE_PATHS };
}

const SECURITY = {
  key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
  bearer: { type: 'http', scheme: 'bearer' },
} as const;

const TAGS = [
  { name: 'Inference', description: 'Calling models.' },
  { name: 'Models', description: 'What runs.' },
  { name: 'Traffic', description: 'Shares of traffic and promotion.' },
  { name: 'Health', description: 'Health and diagnostics.' },
];

interface Described {
  readonly operationId?: string;
  readonly parameters?: readonly { readonly name: string; example?: unknown }[];
  readonly requestBody?: { readonly content: Record<string, { example?: unknown }> };
}

/**
 * Adds examples that the documentation page fills in, so that its button works at the first press.
 */
function withExamples(document: object): object {
  const all = (document as { readonly paths: Record<string, Record<string, Described>> }).paths;
  for (const { operationId: id = '', parameters = [], requestBody } of Object.values(all).flatMap(
    (methods) => Object.values(methods),
  )) {
    const own = { ...PARAM_EXAMPLES, id: entryOf(ID_EXAMPLES, id) ?? PARAM_EXAMPLES['id'] };
    for (const one of parameters) one.example ??= entryOf(own, one.name);
    const media = requestBody?.content['application/json'];
    const example = entryOf(BODY_EXAMPLES, id);
    if (media !== undefined && example !== undefined) media.example = example;
  }
  return document;
}

/**
 * The whole contract (OpenAPI 3.1), made from the schemas that check requests. `version` is the
 * API's: it changes with the contract, not with every release.
 */
export function openApiDocument(): object {
  return withExamples(
    createDocument({
      openapi: '3.1.0',
      info: {
        title: 'ai-model-service',
        version: 'v1',
        description: 'Deploys AI models, routes inference to them, and reports their state.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      // The document is served by the service itself.
      servers: [{ url: '/' }],
      tags: TAGS,
      security: [{ key: [] }, { bearer: [] }],
      components: { securitySchemes: SECURITY },
      paths: paths(),
    }),
  );
}
