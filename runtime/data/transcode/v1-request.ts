import { Refusal } from './refusal';
import { writeJson } from './exact-json';
import type { JsonObject } from './body-json';

// Parses a V1 call that is transcoded.

/** `instances` are rows, `inputs` are columns: a value by input, or the only one's alone. */
export type V1Request = { readonly signature: string } & (
  | { readonly kind: 'rows'; readonly rows: readonly unknown[] }
  | { readonly kind: 'columns'; readonly inputs: unknown }
);

const FIELDS = ['instances', 'inputs', 'signature_name'];
/** The signature that is called when none is named. */
export const DEFAULT_SIGNATURE = 'serving_default';

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);

function checkFields(body: JsonObject): void {
  const stray = Object.keys(body).find((name) => !FIELDS.includes(name));
  if (stray === undefined) return;
  throw bad(
    `${stray}: the model’s server does not support it; the fields are ${FIELDS.join(', ')}`,
  );
}

/** @throws Refusal that names the field */
export function parseV1(body: JsonObject): V1Request {
  checkFields(body);
  const { instances, inputs, signature_name: signature = DEFAULT_SIGNATURE } = body;
  if (typeof signature !== 'string') {
    throw bad(`signature_name: got ${writeJson(signature).slice(0, 60)}, must be text`);
  }
  if ((instances === undefined) === (inputs === undefined)) {
    throw bad('the body must have either instances (rows) or inputs (columns)');
  }
  if (instances === undefined) return { kind: 'columns', inputs, signature };
  if (Array.isArray(instances) && instances.length > 0) {
    return { kind: 'rows', rows: instances as readonly unknown[], signature };
  }
  throw bad(
    `instances: got ${writeJson(instances).slice(0, 60)}, must be a list of at least one row`,
  );
}
