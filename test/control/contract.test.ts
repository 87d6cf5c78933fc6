import { z } from 'zod';
import { openApiDocument } from '../../runtime/control';
import { CALLS } from '../../runtime/control/calls';
import type { Reply, Service } from './support';
import { ask, iris, serve, withCandidate } from './support';

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { content?: Record<string, { schema: object }> }>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

const document = openApiDocument() as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

/** A schema of the document as one that checks: its references become definitions beside it. */
function checkerOf(schema: object): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas });
  const own = JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')) as object;
  return z.fromJSONSchema(own as Parameters<typeof z.fromJSONSchema>[0]);
}

const checkers = new Map<object, z.ZodType>();

/** Fails unless the answer is one that the document promises for this call. */
function check(method: string, path: string, reply: Reply): void {
  const promised = document.paths[path]?.[method.toLowerCase()]?.responses[reply.status];
  const schema = promised?.content?.['application/json']?.schema;
  if (schema === undefined) throw new Error(`${method} ${path} does not promise ${reply.status}`);
  const checker = checkers.get(schema) ?? checkerOf(schema);
  checkers.set(schema, checker);
  const result = checker.safeParse(reply.body);
  if (!result.success) {
    throw new Error(`${method} ${path} ${reply.status}: ${z.prettifyError(result.error)}`);
  }
}

describe('the document', () => {
  test('is OpenAPI 3.1 with every call of the list', () => {
    expect(document.openapi).toBe('3.1.0');
    for (const { path, method } of CALLS) expect(document.paths[path]).toHaveProperty(method);
  });

  test.each([
    '/api/v1/models/{id}/inference',
    '/api/v1/models/{id}/batch_inference',
    '/v2/models/{id}/infer',
    '/v1/models/{id}:predict',
  ])('describes %s as well', (path) => {
    expect(document.paths[path]).toHaveProperty('post');
  });

  test('has no dangling reference', () => {
    const names = [
      ...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g),
    ];
    expect(names.length).toBeGreaterThan(50);
    for (const [, name] of names) expect(document.components.schemas).toHaveProperty(name ?? '');
  });

  test('names each operation once, and the security of callers', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(document.components.securitySchemes).toEqual({
      key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      bearer: { type: 'http', scheme: 'bearer' },
    });
  });

  test('has the whole definition, in wire names', () => {
    const definition = document.components.schemas['ModelDefinition'] as {
      properties: object;
      required: string[];
    };
    expect(Object.keys(definition.properties)).toEqual(
      expect.arrayContaining(['model_id', 'scaling_config', 'candidates', 'docker_image']),
    );
    expect(definition.required).toContain('model_id');
  });

  test('lists no error that no code throws', () => {
    const promised = operations.flatMap(({ operation }) =>
      Object.values(operation.responses).map(
        (one) => (one as { description?: string }).description,
      ),
    );
    const never = /INSUFFICIENT_RESOURCES|DEPLOYMENT_FAILED|NOT_IMPLEMENTED/;
    expect(promised.filter((text) => never.test(text ?? ''))).toEqual([]);
  });

  test('lists no error of inference for a list of models', () => {
    const statuses = (path: string, method: string) =>
      Object.keys(document.paths[path]?.[method]?.responses ?? {});
    expect(statuses('/v1/models', 'get')).toEqual(['200', '401', '403', '500', '503']);
    expect(statuses('/v2', 'get')).toEqual(['200', '401', '403', '500', '503']);
    expect(statuses('/v2/health/ready', 'get')).toEqual(['200', '401', '403', '500', '503']);
  });

  test('names no host', () => {
    expect(JSON.stringify(document).match(/https?:\/\/[a-z]/)).toBeNull();
  });
});

type Step = readonly [
  method: string,
  path: string,
  status: number,
  body?: unknown,
  headers?: Record<string, string>,
];

const MODEL = '/api/v1/models/{id}';

/** One life of a model, with everything that can go wrong at each turn. */
const LIFE: readonly Step[] = [
  ['GET', '/api/v1/models', 200],
  ['POST', '/api/v1/models/deploy', 400, { config: { model_id: 'iris' } }],
  ['POST', '/api/v1/models/deploy', 400, { config: 1, x: 2 }],
  ['POST', '/api/v1/models/deploy?dry_run=true', 200, { config: withCandidate() }],
  ['POST', '/api/v1/models/deploy', 202, { config: withCandidate() }],
  ['POST', '/api/v1/models/deploy', 409, { config: iris() }],
  ['GET', '/api/v1/models', 200],
  ['GET', '/api/v1/models?limit=0', 400],
  ['GET', MODEL, 200],
  ['GET', `${MODEL}/status`, 200],
  ['GET', `${MODEL}/explain?key=a`, 200],
  ['GET', `${MODEL}/explain`, 400],
  ['PUT', MODEL, 202, { config: { environment_variables: { A_TOKEN: 'b' } } }],
  ['PUT', MODEL, 400, { config: { framework: 'lisp' } }],
  ['PUT', MODEL, 412, { config: { name: 'x' } }, { 'if-match': '"77"' }],
  ['POST', `${MODEL}/scale`, 202, { replicas: 3 }],
  ['POST', `${MODEL}/scale`, 400, { replicas: 'many' }],
  ['GET', `${MODEL}/versions`, 200],
  ['POST', `${MODEL}/rollback`, 202, { revision: 1 }],
  ['POST', `${MODEL}/rollback`, 404, { revision: 99 }],
  ['POST', `${MODEL}/traffic`, 202, { candidate: 'next', percent: 20 }],
  ['POST', `${MODEL}/traffic`, 400, { candidate: 'next', percent: 101 }],
  ['POST', `${MODEL}/abort`, 202],
  ['GET', `${MODEL}/status`, 200],
  ['POST', `${MODEL}/promote`, 202, {}],
  ['GET', `${MODEL}/status`, 200],
  ['POST', `${MODEL}/traffic`, 409, { candidate: 'next', percent: 20 }],
  ['POST', `${MODEL}/promote`, 400, { candidate: 'x' }],
  ['POST', `${MODEL}/abort`, 400, { unknown: 1 }],
  ['POST', `${MODEL}/abort`, 202],
  ['GET', `${MODEL}/rollout`, 404],
  ['PUT', MODEL, 202, { config: { candidates: [{ name: 'r', version: 'v9', rollout: {} }] } }],
  ['POST', `${MODEL}/rollout/hold`, 404],
  ['GET', `${MODEL}/rollout`, 200],
  ['POST', `${MODEL}/rollout/hold`, 202],
  ['POST', `${MODEL}/rollout/advance`, 202],
  ['POST', `${MODEL}/rollout/resume`, 202],
  ['POST', `${MODEL}/rollout/abort`, 202],
  ['POST', `${MODEL}/rollout/hold`, 409],
  ['GET', `${MODEL}/rollout`, 200],
  ['POST', `${MODEL}/scale`, 202, { replicas: 0 }],
  ['GET', `${MODEL}/status`, 200],
  ['GET', '/api/v1/observed', 200],
  ['GET', '/api/v1/health/', 200],
  ['GET', '/api/v1/health/live', 200],
  ['GET', '/api/v1/health/ready', 200],
  ['GET', '/api/v1/health/startup', 200],
  ['GET', '/api/v1/health/detailed', 200],
  ['PUT', '/api/v1/log-level', 200, { level: 'debug', seconds: 60 }],
  ['PUT', '/api/v1/log-level', 400, { level: 'loud' }],
  ['GET', '/api/v1/log-level', 200],
  ['DELETE', `${MODEL}?force=2`, 400],
  ['DELETE', MODEL, 202],
  ['GET', MODEL, 404],
  ['GET', `${MODEL}/status`, 404],
  ['PUT', MODEL, 404, { config: {} }],
  ['DELETE', MODEL, 404],
  ['POST', `${MODEL}/promote`, 404],
];

describe('real responses match the document', () => {
  let service: Service;
  beforeAll(async () => {
    service = await serve();
  });
  afterAll(() => service.close());

  const named = LIFE.map((step) => [`${step[0]} ${step[1]} → ${step[2]}`, step] as const);
  test.each(named)('%s', async (_, [method, path, status, body, headers]) => {
    const url = `${service.url}${path.replace('{id}', 'iris')}`;
    // A rollout begins with a tick.
    if (path.endsWith('/rollout')) await service.control.tick();
    const reply = await ask(url, method, body, headers);
    expect(reply.status).toBe(status);
    check(method, path.split('?')[0] ?? '', reply);
  });

  test('every call was made', () => {
    const made = new Set(LIFE.map(([method, path]) => `${method} ${path.split('?')[0]}`));
    const missing = CALLS.map(({ method, path }) => `${method.toUpperCase()} ${path}`).filter(
      (call) => !made.has(call),
    );
    expect(missing).toEqual([]);
  });

  test('a wrong response fails the check', () => {
    const wrong = { status: 200, headers: new Headers(), body: { models: [{}], total: 1 } };
    expect(() => check('GET', '/api/v1/models', wrong)).toThrow(/limit/);
    expect(() => check('GET', '/api/v1/models', { ...wrong, status: 418 })).toThrow(/418/);
  });

  test('a service that has not started answers by the document too', async () => {
    const cold = await serve({ unstarted: true });
    for (const name of ['', 'ready', 'startup', 'detailed']) {
      const path = `/api/v1/health/${name}`;
      const reply = await ask(`${cold.url}${path}`);
      expect([path, reply.status]).toEqual([path, 503]);
      check('GET', path, reply);
    }
    check('GET', MODEL, await ask(`${cold.url}/api/v1/models/iris`));
    await cold.close();
  });
});
