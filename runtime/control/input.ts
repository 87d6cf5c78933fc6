import type { Request, Response } from 'express';
import { json } from 'express';
import type { z } from 'zod';
import { checked, DefinitionError } from '../../lib/spec';
import type { Call } from './call';
import { invalidRequest, Problem } from './problem';

/** Largest body of a management call: a definition is stored in one object of at most 1 MiB. */
export const MAX_BODY_BYTES = 1_048_576;

const JSON_TYPES = ['application/json', 'application/merge-patch+json'];

const parseJson = json({ limit: MAX_BODY_BYTES, type: JSON_TYPES, strict: false });

interface BodyError extends Error {
  readonly type?: string;
  readonly status?: number;
}

/** Where the parser stopped; its own message may quote the body, which no log or metric may hold. */
function placeOf({ message }: Error): string {
  const position = /at position ([0-9]+)/.exec(message)?.[1];
  return position === undefined ? '' : `; it breaks off at character ${position}`;
}

function bodyProblem(error: BodyError): Problem {
  if (error.type === 'entity.too.large') {
    return new Problem('PAYLOAD_TOO_LARGE', `the body must be at most ${MAX_BODY_BYTES} bytes`);
  }
  if (error.status === 415) {
    return new Problem('UNSUPPORTED_MEDIA_TYPE', 'the body must be UTF-8, plain or gzip');
  }
  if (error.type === 'entity.parse.failed') {
    return new Problem('INVALID_REQUEST', `the body is no valid JSON${placeOf(error)}`);
  }
  return new Problem('INVALID_REQUEST', 'the body could not be read to its end');
}

async function readJson(request: Request, response: Response): Promise<unknown> {
  // Some clients announce the length of nothing; that needs no type.
  const empty = request.header('content-length') === '0';
  // `false`: there is a body of another type.
  if (!empty && request.is(JSON_TYPES) === false) {
    throw new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'the body must be JSON; send Content-Type: application/json',
    );
  }
  await new Promise<void>((resolve, reject) => {
    parseJson(request, response, (error?: unknown) =>
      error === undefined ? resolve() : reject(bodyProblem(error as BodyError)),
    );
  });
  return request.body as unknown;
}

/** @throws Problem INVALID_REQUEST with every fault */
function valid<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  try {
    return checked(schema, value);
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    throw invalidRequest(error.faults);
  }
}

/** The commonest slip: the definition itself instead of `{"config": …}` around it. */
function refuseBareDefinition(schema: z.ZodType, given: unknown): void {
  const isDefinition =
    typeof given === 'object' && given !== null && Object.hasOwn(given, 'model_id');
  const shape = 'shape' in schema ? (schema.shape as object) : {};
  if (!isDefinition || !Object.hasOwn(shape, 'config')) return;
  const message = 'is missing: send {"config": {…}} with the definition in it';
  throw invalidRequest([{ path: 'config', message, allowed: 'a definition' }]);
}

/**
 * A call may be made without a body when `{}` would do.
 * @throws Problem
 */
export async function bodyOf(
  { body: schema }: Call,
  request: Request,
  response: Response,
): Promise<unknown> {
  if (schema === undefined) return undefined;
  const given = await readJson(request, response);
  refuseBareDefinition(schema, given);
  const empty = given === undefined && schema.safeParse({}).success;
  return valid(schema, empty ? {} : given);
}

/** `"5"` → 5, `"true"` → true where the schema wants that; else the text as it came. */
function typed(schema: z.ZodType, text: unknown): unknown {
  if (typeof text !== 'string') return text;
  const readings: unknown[] = [text];
  if (/^-?[0-9]+(\.[0-9]+)?$/.test(text)) readings.push(Number(text));
  if (text === 'true' || text === 'false') readings.push(text === 'true');
  return readings.find((value) => schema.safeParse(value).success) ?? readings.at(-1);
}

/** @throws Problem */
export function queryOf({ query: schema }: Call, request: Request): unknown {
  if (schema === undefined) return undefined;
  const given = Object.entries(request.query).map(([name, text]) => {
    const field = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
    return [name, field === undefined ? text : typed(field as z.ZodType, text)] as const;
  });
  return valid(schema, Object.fromEntries(given));
}
