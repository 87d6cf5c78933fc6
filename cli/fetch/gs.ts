import { createSign } from 'node:crypto';
import { bucketIn } from './bucket';
import type { Entry, SourceContext } from './entry';
import { expectOk, renewed, SourceError } from './entry';
import type { Ask } from './s3';
import { entriesOfBucket, s3Entries } from './s3';

const DEFAULT_ENDPOINT = 'https://storage.googleapis.com';
const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_only';
/** Longest life of such a token at Google. */
const TOKEN_SECONDS = 3600;
/** A download may take longer: after half of a token's life the next request gets a new one. */
const RENEW_MS = (TOKEN_SECONDS * 1000) / 2;

interface ServiceAccount {
  readonly client_email: string;
  readonly private_key: string;
  readonly token_uri: string;
}

const base64url = (value: object): string =>
  Buffer.from(JSON.stringify(value)).toString('base64url');

/** Exchanges a signed claim (RFC 7523) for an access token. */
async function accessToken(account: ServiceAccount, { http }: SourceContext): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claim = {
    iss: account.client_email,
    scope: SCOPE,
    aud: account.token_uri,
    iat: now,
    exp: now + TOKEN_SECONDS,
  };
  const head = `${base64url({ alg: 'RS256', typ: 'JWT' })}.${base64url(claim)}`;
  const signature = createSign('RSA-SHA256').update(head).sign(account.private_key, 'base64url');
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: `${head}.${signature}`,
  });
  const response = await http(account.token_uri, { method: 'POST', body });
  const answer = (await (await expectOk(response, 'token')).json()) as { access_token: string };
  return answer.access_token;
}

function accountOf(text: string): ServiceAccount {
  try {
    return JSON.parse(text) as ServiceAccount;
  } catch {
    throw new SourceError(
      'GOOGLE_CREDENTIALS is not JSON; put the whole key file of the service account into the Secret',
    );
  }
}

/**
 * Google Cloud Storage: HMAC keys (`AWS_ACCESS_KEY_ID` …), or a service account's key file as text
 * in `GOOGLE_CREDENTIALS`, or anonymous for public buckets.
 */
export async function gsEntries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const endpoint = (context.endpoint ?? DEFAULT_ENDPOINT).replace(/\/+$/, '');
  if (context.env['AWS_ACCESS_KEY_ID'] !== undefined) {
    return s3Entries(uri.replace(/^gs:/i, 's3:'), { ...context, endpoint });
  }
  const text = context.env['GOOGLE_CREDENTIALS'];
  const bucket = bucketIn(uri);
  const base = `${endpoint}/${bucket}`;
  if (text === undefined) return entriesOfBucket(uri, base, context.http, context);
  const account = accountOf(text);
  const token = renewed(() => accessToken(account, context), RENEW_MS);
  const ask: Ask = async (url, init = {}) =>
    context.http(url, {
      ...init,
      headers: {
        ...(init.headers as Record<string, string>),
        authorization: `Bearer ${await token()}`,
      },
    });
  return entriesOfBucket(uri, base, ask, context);
}
