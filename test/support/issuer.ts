import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

// An identity provider as far as a router sees it: keys, and tokens that they signed.

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: 'RS256' | 'ES256';
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** As it stands in a JWKS. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function signingKey(kid: string, algorithm: SigningKey['algorithm'] = 'ES256'): SigningKey {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' };
  return { kid, algorithm, privateKey, publicKey, jwk };
}

const encoded = (value: unknown): string =>
  Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token in compact form, with whatever header and signature a test is about. */
export function compact(
  header: object,
  claims: object,
  sign: (input: string) => Buffer | string,
): string {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${Buffer.from(sign(input)).toString('base64url')}`;
}

export function signed(
  { kid, algorithm, privateKey }: SigningKey,
  claims: object,
  header: object = {},
): string {
  return compact({ alg: algorithm, kid, typ: 'at+jwt', ...header }, claims, (input) =>
    signBytes('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  );
}
