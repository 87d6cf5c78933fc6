import { readFile } from 'node:fs/promises';
import { AwsClient } from 'aws4fetch';
import { bucketIn } from './bucket';
import type { Entry, SourceContext } from './entry';
import { expectOk, renewed, SourceError } from './entry';
import { decodedUri, lastSegment } from './safe-path';

// S3 and compatible stores: AWS, MinIO, Ceph, R2, and Google Cloud Storage with HMAC keys.

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** Keys of a role live an hour at least; they are renewed after half of that. */
const KEYS_LIFE_MS = 30 * 60_000;

/** Sends a request to a store: signed, with a bearer token, or anonymous. */
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

const regionOf = ({ env }: SourceContext): string =>
  env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1';

/** Amazon's regions in China have another domain. */
const domainOf = (region: string): string =>
  region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';

function stsUrl(context: SourceContext): string {
  const region = regionOf(context);
  const given = context.env['AWS_ENDPOINT_URL_STS'];
  return given ?? `https://sts.${region}.${domainOf(region)}/`;
}

/** Exchanges the token that EKS mounts for keys (AssumeRoleWithWebIdentity). */
async function webIdentityKeys(context: SourceContext, role: string, file: string): Promise<Keys> {
  const query = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: role,
    RoleSessionName: 'ai-model-service-fetch',
    // Read each time: Kubernetes renews it.
    WebIdentityToken: (await readFile(file, 'utf8')).trim(),
  });
  const response = await context.http(stsUrl(context), { method: 'POST', body: query });
  const xml = await (await expectOk(response, 'sts')).text();
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

/** Source of the keys; undefined: requests are anonymous. */
function keysOf(context: SourceContext): (() => Promise<Keys>) | undefined {
  const given = envKeys(context);
  if (given !== undefined) return async () => given;
  const { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: file } = context.env;
  if (role === undefined || file === undefined) return undefined;
  return renewed(() => webIdentityKeys(context, role, file), KEYS_LIFE_MS);
}

function askerOf(context: SourceContext): Ask {
  const keys = keysOf(context);
  if (keys === undefined) return context.http;
  return async (url, init = {}) => {
    const client = new AwsClient({
      ...(await keys()),
      service: 's3',
      region: regionOf(context),
      retries: 0,
    });
    const signed = await client.sign(url, init);
    return context.http(signed.url, { headers: signed.headers });
  };
}

/** Each segment encoded, the slashes kept. */
const encodeKey = (key: string): string => key.split('/').map(encodeURIComponent).join('/');

function bucketUrl(bucket: string, context: SourceContext): string {
  const { env, endpoint } = context;
  const given = endpoint ?? env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
  if (given !== undefined) return `${given.replace(/\/+$/, '')}/${bucket}`;
  const region = regionOf(context);
  const host = `s3.${region}.${domainOf(region)}`;
  // The certificate of *.s3.… covers one label only.
  return bucket.includes('.') ? `https://${host}/${bucket}` : `https://${bucket}.${host}`;
}

interface StoredObject {
  readonly key: string;
  readonly size: number | undefined;
  readonly tag: string | undefined;
}

/** The objects of one page of ListObjectsV2; a key that ends in a slash marks a folder. */
function objectsIn(xml: string): readonly StoredObject[] {
  const blocks = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, block = '']) => block);
  return blocks.flatMap((block) => {
    const one = (tag: string): string | undefined => xmlValues(block, tag)[0];
    const key = one('Key') ?? '';
    const size = one('Size');
    if (key.endsWith('/')) return [];
    return [{ key, size: size === undefined ? undefined : Number(size), tag: one('ETag') }];
  });
}

async function objectsBelow(
  base: string,
  prefix: string,
  ask: Ask,
): Promise<readonly StoredObject[]> {
  const objects: StoredObject[] = [];
  for (let token: string | undefined, more = true; more; more = token !== undefined) {
    const query = new URLSearchParams({ 'list-type': '2', prefix });
    if (token !== undefined) query.set('continuation-token', token);
    const response = await expectOk(await ask(`${base}?${query.toString()}`), `list ${prefix}`);
    const xml = await response.text();
    objects.push(...objectsIn(xml));
    token = xmlValues(xml, 'NextContinuationToken')[0];
  }
  return objects;
}

/** The files of `bucket/key`: one, or all below it for a server that loads a folder. */
export async function entriesOfBucket(
  uri: string,
  base: string,
  ask: Ask,
  { single }: Pick<SourceContext, 'single'>,
): Promise<readonly Entry[]> {
  const key = decodedUri(uri.replace(/^[a-z0-9]+:\/\/[^/]+\/?/i, ''));
  const open =
    (name: string): Entry['open'] =>
    (headers) =>
      ask(`${base}/${encodeKey(name)}`, { headers });
  if (single) return [{ path: lastSegment(key), open: open(key) }];
  const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
  const objects = await objectsBelow(base, prefix, ask);
  if (objects.length === 0) throw new SourceError(`${uri}: no object found; check the URI`);
  return objects.map(({ key: name, size, tag }) => ({
    path: name.slice(prefix.length),
    open: open(name),
    size,
    tag,
  }));
}

export async function s3Entries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const bucket = bucketIn(uri);
  return entriesOfBucket(uri, bucketUrl(bucket, context), askerOf(context), context);
}
