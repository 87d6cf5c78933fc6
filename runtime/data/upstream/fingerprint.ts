import { createHmac, randomBytes } from 'node:crypto';

/** Of this process: nobody else can say which body has which fingerprint. */
const SECRET = randomBytes(32);

/** Tells a request from others without keeping it: of model, version and body. */
export function fingerprintOf(model: string, version: string, body: Uint8Array): string {
  const hash = createHmac('sha256', SECRET).update(`${model}\0${version}\0`);
  return hash.update(body).digest('base64');
}
