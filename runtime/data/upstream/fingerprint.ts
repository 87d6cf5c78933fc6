import { createHmac, randomBytes } from 'node:crypto';

/** Of this process only: fingerprints cannot be computed from a body outside it. */
const SECRET = randomBytes(32);

/** Identifies a request by model, version and body without keeping the body. */
export function fingerprintOf(model: string, version: string, body: Uint8Array): string {
  const hash = createHmac('sha256', SECRET).update(`${model}\0${version}\0`);
  return hash.update(body).digest('base64');
}
