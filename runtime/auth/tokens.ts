import { hash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import { entryOf } from '../../lib/spec/entry';
import { RecentMap } from '../shared/recent-map';
import type { Jwks, SigningAlgorithm } from './jwks';
import type { AuthResult, Caller, FailureReason, Scope } from './port';
import { refused, SCOPES } from './port';

/** Longer ones are refused before they are looked at. */
const MAX_TOKEN_CHARACTERS = 8192;
/** A verified token is decided about without its signature for so long, milliseconds. */
const MAX_CACHED_MS = 5 * 60_000;
/** Verified tokens that are kept; twice as many at most. */
const MAX_CACHED = 5000;
const MAX_NAME_CHARACTERS = 256;
const MAX_KID_CHARACTERS = 256;

export interface TokenOptions {
  readonly issuer: string;
  /** One of these must be meant. */
  readonly audience: readonly string[];
  readonly algorithms: readonly SigningAlgorithm[];
  /** Claim with the scopes: a list, or a text with blanks between. */
  readonly scopesClaim: string;
  /** Claim with the models; absent: a token is for all models. */
  readonly modelsClaim?: string | undefined;
  readonly clockSkewSeconds: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface VerifiedToken {
  readonly result: AuthResult;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

const fail = (reason: FailureReason, words: string): AuthResult =>
  refused('UNAUTHENTICATED', `the token ${words}`, reason, 'token');

const UNAVAILABLE = refused(
  'CLUSTER_UNAVAILABLE',
  'the token cannot be verified: the identity provider does not answer; try again',
  'unavailable',
  'token',
);

/** A claim with several words: a list of texts, or one text with blanks between. */
function wordsIn(claims: JWTPayload, claim: string): readonly string[] {
  const value = entryOf(claims as Readonly<Record<string, unknown>>, claim);
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '');
  return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : [];
}

/** Control characters would be confusing in a log. */
// oxlint-disable-next-line no-control-regex
const IS_NAME = /^[^\x00-\x1f\x7f-\x9f]+$/;

function subjectOf(claims: JWTPayload): string | undefined {
  const { sub, client_id: client } = claims;
  const subject = sub ?? client;
  if (typeof subject !== 'string' || subject.length > MAX_NAME_CHARACTERS) return undefined;
  return IS_NAME.test(subject) ? subject : undefined;
}

/** What a verified token lets its caller do: nothing that it does not name. */
function callerOf(claims: JWTPayload, options: TokenOptions): Caller | undefined {
  const subject = subjectOf(claims);
  if (subject === undefined) return undefined;
  const words = wordsIn(claims, options.scopesClaim);
  const scopes: readonly Scope[] = SCOPES.filter((scope) => words.includes(scope));
  const { modelsClaim } = options;
  const models = modelsClaim === undefined ? ['*'] : wordsIn(claims, modelsClaim);
  return {
    // No subject can take the name of a key.
    name: `jwt:${subject}`,
    scopes,
    ...(!models.includes('*') && { models }),
    credential: 'token',
  };
}

/** What a failed verification means for the caller. */
function failureOf(error: unknown, { audience, issuer }: TokenOptions): AuthResult {
  if (error instanceof errors.JWTExpired) {
    return fail('expired', 'has expired; get another one');
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim } = error;
    if (claim === 'aud') {
      return fail(
        'wrong_audience',
        `is for another audience; get one for ${audience.join(' or ')}`,
      );
    }
    if (claim === 'iss') {
      return fail('wrong_issuer', `is from another issuer; get one from ${issuer}`);
    }
    return fail(
      'invalid_claim',
      `has a claim that is missing or not valid: ${claim}; get another one`,
    );
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return fail('bad_signature', 'has a signature that does not fit; get another one');
  }
  return fail('malformed', 'is malformed; get another one');
}

/** Is a bearer credential a JWT in compact form? Keys have no dots between three parts. */
export const isToken = (credential: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(credential);

const digestOf = (token: string): string => hash('sha256', token, 'base64');

/** JWTs of one issuer. */
export class Tokens {
  /** By their digest: tokens are long. */
  private readonly verified = new RecentMap<string, VerifiedToken>(MAX_CACHED);
  private readonly pending = new Map<string, Promise<AuthResult>>();

  constructor(
    private readonly options: TokenOptions,
    private readonly jwks: Jwks,
  ) {}

  /** At once for a token that was verified lately. */
  resultOf(token: string): AuthResult | Promise<AuthResult> {
    if (token.length > MAX_TOKEN_CHARACTERS) return fail('malformed', 'is too long');
    const cached = this.verified.get(digestOf(token));
    if (cached !== undefined && cached.until > this.options.now()) return cached.result;
    // The library decodes one token from endless spellings, with blanks and padding.
    if (!isToken(token)) return fail('malformed', 'is malformed; get another one');
    const running = this.pending.get(token);
    if (running !== undefined) return running;
    // Copied: a header value is a slice that would keep its whole request in memory.
    const own = Buffer.from(token).toString();
    const result = this.verify(own).finally(() => this.pending.delete(own));
    this.pending.set(own, result);
    return result;
  }

  /** Every token is verified again. */
  flush(): void {
    this.verified.clear();
  }

  private async verify(token: string): Promise<AuthResult> {
    const { generation } = this.jwks;
    const { now, issuer, audience, clockSkewSeconds } = this.options;
    const header = headerOf(token);
    const algorithm = this.options.algorithms.find((one) => one === header?.alg);
    if (header === undefined) return fail('malformed', 'is malformed; get another one');
    if (algorithm === undefined) {
      const allowed = this.options.algorithms.join(', ');
      return fail('bad_algorithm', `has an algorithm that is not allowed; sign it by ${allowed}`);
    }
    const key = await this.jwks.find(header.kid, algorithm);
    if (key === 'unavailable') return UNAVAILABLE;
    if (key === 'unknown') {
      return fail(
        'unknown_kid',
        'is signed by a key that its issuer does not have; get another one',
      );
    }
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        issuer,
        audience: [...audience],
        clockTolerance: clockSkewSeconds,
        currentDate: new Date(now()),
        requiredClaims: ['exp'],
      });
      return this.accept(token, payload, generation);
    } catch (error) {
      return failureOf(error, this.options);
    }
  }

  private accept(token: string, claims: JWTPayload, generation: number): AuthResult {
    const caller = callerOf(claims, this.options);
    if (caller === undefined)
      return fail('invalid_claim', 'names no subject (sub); get another one');
    const result: AuthResult = { ok: true, caller };
    const now = this.options.now();
    const until = Math.min((claims.exp ?? 0) * 1000, now + MAX_CACHED_MS);
    // The keys may have changed while the signature was checked.
    if (until > now && generation === this.jwks.generation) {
      this.verified.set(digestOf(token), { result, until });
    }
    return result;
  }
}

interface TokenHeader {
  readonly alg: unknown;
  readonly kid: string | undefined;
}

/** RFC 9068 and RFC 8725: a token of another kind is not an access token. */
const IS_ACCESS = /^(?:application\/)?(?:at\+)?jwt$/i;

/** Undefined: not a header of an access token. */
function headerOf(token: string): TokenHeader | undefined {
  try {
    const { alg, kid, typ } = decodeProtectedHeader(token);
    if (typ !== undefined && (typeof typ !== 'string' || !IS_ACCESS.test(typ))) return undefined;
    if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_CHARACTERS)) {
      return undefined;
    }
    return { alg, kid };
  } catch {
    return undefined;
  }
}
