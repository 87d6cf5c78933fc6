import type { Request, Response } from 'express';
import { raw } from 'express';
import type { z } from 'zod';
import type { JsonText } from '../../lib/spec';
import {
  asWritten,
  checked,
  DefinitionError,
  inForm,
  JsonTextError,
  modelSchema,
  pathParts,
  readJsonText,
} from '../../lib/spec';
import type { JsonLimits } from '../shared/json-survey';
import { JsonTooComplex, survey } from '../shared/json-survey';
import { firstNotUtf8, NotUtf8 } from '../shared/utf8';
import type { ApiCall } from './define-call';
import { invalidRequest, Problem } from './problem';
import { entryOf } from '../../lib/spec/entry';

/** Largest body of a management call: a definition is stored in one object of at most 1 MiB. */
const MAX_BODY_BYTES = 1_048_576;

/** Limits far above any definition, so that parsing and reporting faults stay fast. */
const BODY_LIMITS: JsonLimits = { depth: 64, values: 20_000, containers: 10_000, names: 5000 };

const JSON_TYPES = ['application/json', 'application/merge-patch+json'];

const readRaw = raw({ limit: MAX_BODY_BYTES, type: JSON_TYPES });

interface BodyError extends Error {
  readonly type?: string;
  readonly status?: number;
}

function bodyProblem(error: BodyError): Problem {
  if (error.type === 'entity.too.large') {
    return new Problem('PAYLOAD_TOO_LARGE', `the body must be at most ${MAX_BODY_BYTES} bytes`);
  }
  if (error.status === 415) return wrongEncoding();
  return new Problem('INVALID_REQUEST', 'the body could not be read to its end');
}

const wrongEncoding = (): Problem =>
  new Problem('UNSUPPORTED_MEDIA_TYPE', 'the body must be UTF-8, plain or gzip');

/** JSON is UTF-8 and needs no charset; another one would be read wrongly. */
function requireUtf8(type: string | undefined): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type ?? '')?.[1];
  if (charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset)) throw wrongEncoding();
}

const NOTHING: JsonText = { value: undefined, lineOf: () => 1, sourceOf: () => undefined };

/** Messages name the position and do not quote the body, which must not be logged. */
function parsed(bytes: Buffer): JsonText {
  const offset = firstNotUtf8(bytes);
  if (offset !== undefined)
    throw new Problem('INVALID_REQUEST', `the body is ${new NotUtf8(offset).message}`);
  try {
    survey(bytes, BODY_LIMITS);
    return readJsonText(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof JsonTooComplex) {
      const code = error.what === 'depth' ? 'INVALID_REQUEST' : 'PAYLOAD_TOO_LARGE';
      throw new Problem(code, `the body ${error.message}`);
    }
    if (!(error instanceof JsonTextError)) throw error;
    if (error.path !== '') throw invalidRequest([error.fault]);
    const { line, column } = error.place;
    const place = `line ${line}, column ${column}`;
    throw new Problem('INVALID_REQUEST', `the body is not valid JSON: ${place}: ${error.words}`);
  }
}

async function readJson(request: Request, response: Response): Promise<JsonText> {
  // Some clients send `Content-Length: 0`; that needs no type.
  const empty = request.header('content-length') === '0';
  // `false`: there is a body of another type.
  if (!empty && request.is(JSON_TYPES) === false) {
    throw new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'the body must be JSON; send Content-Type: application/json',
    );
  }
  requireUtf8(request.header('content-type'));
  await new Promise<void>((resolve, reject) => {
    readRaw(request, response, (error?: unknown) =>
      error === undefined ? resolve() : reject(bodyProblem(error as BodyError)),
    );
  });
  const bytes = request.body as unknown;
  return Buffer.isBuffer(bytes) && bytes.length > 0 ? parsed(bytes) : NOTHING;
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

/** The most common mistake: the definition itself instead of `{"config": …}`. */
function refuseBareDefinition(schema: z.ZodType, given: unknown): void {
  const isDefinition =
    typeof given === 'object' && given !== null && Object.hasOwn(given, 'model_id');
  const shape = 'shape' in schema ? (schema.shape as object) : {};
  if (!isDefinition || !Object.hasOwn(shape, 'config')) return;
  const message = 'is missing: send {"config": {…}} with the definition in it';
  throw invalidRequest([{ path: 'config', message, allowed: 'a definition' }]);
}

/** The parsed body, and the spelling of its numbers. */
export interface ParsedBody {
  readonly value: unknown;
  /** The same error with values as the caller wrote them: the value of `1.10` is 1.1. */
  readonly asWritten: (error: unknown) => unknown;
}

/** Faults of a definition have paths below `config`. */
const writtenIn =
  ({ sourceOf }: JsonText) =>
  (error: unknown): unknown => {
    if (!(error instanceof DefinitionError)) return error;
    const faults = error.faults.map((found) => {
      const wire = inForm(found, modelSchema, 'wire');
      return asWritten(wire, sourceOf(['config', ...pathParts(wire.path)]));
    });
    return new DefinitionError(faults, error.file);
  };

/**
 * The body of a call; it may be absent where `{}` is valid.
 * @throws Problem
 */
export async function bodyOf(
  { body: schema }: ApiCall,
  request: Request,
  response: Response,
): Promise<ParsedBody> {
  if (schema === undefined) return { value: undefined, asWritten: (error) => error };
  const text = await readJson(request, response);
  const { value: given } = text;
  refuseBareDefinition(schema, given);
  const empty = given === undefined && schema.safeParse({}).success;
  return { value: valid(schema, empty ? {} : given), asWritten: writtenIn(text) };
}

/** `"5"` → 5, `"true"` → true by the type of the schema; else the text itself. */
function typed(schema: z.ZodType, text: unknown): unknown {
  if (typeof text !== 'string') return text;
  const readings: unknown[] = [text];
  if (/^-?[0-9]+(\.[0-9]+)?$/.test(text)) readings.push(Number(text));
  if (text === 'true' || text === 'false') readings.push(text === 'true');
  return readings.find((value) => schema.safeParse(value).success) ?? readings.at(-1);
}

/** @throws Problem */
export function queryOf({ query: schema }: ApiCall, request: Request): unknown {
  if (schema === undefined) return undefined;
  const given = Object.entries(request.query).map(([name, text]) => {
    const field = entryOf(schema.shape, name);
    return [name, field === undefined ? text : typed(field as z.ZodType, text)] as const;
  });
  return valid(schema, Object.fromEntries(given));
}
