import { readFile } from 'node:fs/promises';
import { AwsClient } from 'aws4fetch';
import { bucketIn } from './bucket';
import type { Entry, SourceContext } from './entry';
import { expectOk, lastSegment, rangeHeader, SourceError } from './entry';

// S3 and everything that speaks it: AWS, MinIO, Ceph, R2, and Google Cloud Storage with HMAC keys.

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** How a store is asked: signed, with a bearer token, or as anybody. */
export type Ask = (url: string, init?: RequestInit) => Promise<Response>;

const xmlValues = (xml: string, tag: string): readonly string[] =>
  [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map((match) =>
    (match[1] ?? '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&apos;', "'")
      .replaceAll('&amp;', '&'),
  );

/** Exchanges the token that EKS mounts for keys (AssumeRoleWithWebIdentity). */
async function webIdentityKeys({ http, env }: SourceContext): Promise<Keys | undefined> {
  const { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_REGION: region } = env;
  if (role === undefined || file === undefined) return undefined;
  const query = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: role,
    RoleSessionName: 'ai-model-service-fetch',
    WebIdentityToken: (await readFile(file, 'utf8')).trim(),
  });
  const url = `https://sts.${region ?? 'us-east-1'}.amazonaws.com/`;
  const response = await expectOk(await http(url, { method: 'POST', body: query }), 'sts');
  const xml = await response.text();
  const one = (tag: string): string => xmlValues(xml, tag)[0] ?? '';
  return {
    accessKeyId: one('AccessKeyId'),
    secretAccessKey: one('SecretAccessKey'),
    sessionToken: one('SessionToken'),
  };
}

function envKeys({ env }: SourceContext): Keys | undefined {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
  if (id === undefined || secret === undefined) return undefined;
  return { accessKeyId: id, secretAccessKey: secret, sessionToken: token };
}

async function askerOf(context: SourceContext): Promise<Ask> {
  const keys = envKeys(context) ?? (await webIdentityKeys(context));
  if (keys === undefined) return context.http;
  const region = context.env['AWS_REGION'] ?? context.env['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  const client = new AwsClient({ ...keys, service: 's3', region });
  return async (url, init = {}) => {
    const signed = await client.sign(url, init);
    return context.http(signed.url, { headers: signed.headers });
  };
}

/** Each segment encoded, the slashes kept. */
const encodeKey = (key: string): string => key.split('/').map(encodeURIComponent).join('/');

function bucketUrl(bucket: string, { env, endpoint }: SourceContext): string {
  const given = endpoint ?? env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
  if (given !== undefined) return `${given.replace(/\/+$/, '')}/${bucket}`;
  const region = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  return `https://${bucket}.s3.${region}.amazonaws.com`;
}

async function keysBelow(base: string, prefix: string, ask: Ask): Promise<readonly string[]> {
  const keys: string[] = [];
  for (let token: string | undefined, more = true; more; more = token !== undefined) {
    const query = new URLSearchParams({ 'list-type': '2', prefix });
    if (token !== undefined) query.set('continuation-token', token);
    const response = await expectOk(await ask(`${base}/?${query.toString()}`), `list ${prefix}`);
    const xml = await response.text();
    keys.push(...xmlValues(xml, 'Key').filter((key) => !key.endsWith('/')));
    token = xmlValues(xml, 'NextContinuationToken')[0];
  }
  return keys;
}

/** The files of `bucket/key`: one, or all below it when the server wants a folder. */
export async function entriesOfBucket(
  uri: string,
  base: string,
  ask: Ask,
  single: boolean,
): Promise<readonly Entry[]> {
  const key = decodeURIComponent(uri.replace(/^[a-z0-9]+:\/\/[^/]+\/?/i, ''));
  const open = (name: string) => (from: number) =>
    ask(`${base}/${encodeKey(name)}`, { headers: rangeHeader(from) });
  if (single) return [{ path: lastSegment(key), open: open(key) }];
  const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
  const keys = await keysBelow(base, prefix, ask);
  if (keys.length === 0) throw new SourceError(`${uri}: nothing lies there; check the URI`);
  return keys.map((name) => ({ path: name.slice(prefix.length), open: open(name) }));
}

export async function s3Entries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const bucket = bucketIn(uri);
  const ask = await askerOf(context);
  return entriesOfBucket(uri, bucketUrl(bucket, context), ask, context.single);
}
