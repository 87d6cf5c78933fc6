import { createHash } from 'node:crypto';
import type { Entry, Headers, SourceContext } from './entry';
import { expectOk, SourceError } from './entry';
import type { Manifest } from './layers';
import { filesOf, isEvidence } from './layers';
import { entryOf } from '../../lib/spec/entry';

// Artifacts in an OCI registry: distribution-spec 1.1. layers.ts maps layers to files.

const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');
/** An index leads to a manifest; tools push no index of indexes. */
const MAX_DEPTH = 2;

export interface Reference {
  readonly host: string;
  readonly repository: string;
  readonly reference: string;
}

/** `oci://host/repository:tag` or `…@sha256:…` */
export function parseOci(uri: string): Reference {
  const match = /^oci:\/\/([^/]+)\/([^:@]+)(?::([^@]+))?(?:@(sha256:[0-9a-f]{64}))?$/i.exec(uri);
  const [, host = '', repository = '', tag, digest] = match ?? [];
  const reference = digest ?? tag;
  if (match === null || reference === undefined) {
    throw new SourceError(`${uri}: must be oci://host/repository:tag or …@sha256:…; fix the URI`);
  }
  return { host, repository, reference };
}

function basicCredentials({ env }: SourceContext): Record<string, string> {
  const { OCI_USERNAME: user, OCI_PASSWORD: password } = env;
  if (user === undefined || password === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** The token server, as the registry names it; a password is sent over https only. */
function realmOf(challenge: (key: string) => string, root: string): URL {
  const realm = new URL(challenge('realm'), root);
  if (realm.protocol !== 'https:' && root.startsWith('https:')) {
    throw new SourceError(`${root}: sends credentials to ${realm.origin}, which is not https`);
  }
  for (const key of ['service', 'scope']) {
    if (challenge(key) !== '') realm.searchParams.set(key, challenge(key));
  }
  return realm;
}

/** Authorization after a 401: a token from the named realm, or the credentials themselves. */
async function authorization(challenge: string, root: string, context: SourceContext) {
  const basic = basicCredentials(context);
  if (!/^bearer/i.test(challenge)) return basic;
  const value = (key: string): string =>
    new RegExp(`${key}="([^"]*)"`, 'i').exec(challenge)?.[1] ?? '';
  const response = await context.http(realmOf(value, root).href, { headers: basic });
  await expectOk(response, 'registry token');
  const answer = (await response.json()) as { token?: string; access_token?: string };
  return { authorization: `Bearer ${answer.token ?? answer.access_token ?? ''}` };
}

type Ask = (path: string, headers: Headers) => Promise<Response>;

/** Sends requests to a repository; fetches a missing or expired token and repeats the request. */
function askerOf(root: string, repository: string, context: SourceContext): Ask {
  let auth: Headers = {};
  return async (path, headers) => {
    const url = `${root}/v2/${repository}${path}`;
    const first = await context.http(url, { headers: { ...headers, ...auth } });
    if (first.status !== 401) return first;
    await first.body?.cancel();
    auth = await authorization(first.headers.get('www-authenticate') ?? '', root, context);
    return context.http(url, { headers: { ...headers, ...auth } });
  };
}

/** Node's name of this machine's architecture → OCI's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' };

/** The entry of an index for this machine; in one without platforms the artifact is first. */
function digestIn({ manifests = [] }: Manifest): string | undefined {
  const own = entryOf(ARCHITECTURES, process.arch) ?? process.arch;
  const models = manifests.filter((one) => !isEvidence(one));
  const found = models.find(({ platform }) => platform?.architecture === own);
  return (found ?? models[0] ?? manifests[0])?.digest;
}

/** A manifest. Requested by digest, its digest is checked: it vouches for those of the layers. */
async function manifestOf(uri: string, reference: string, ask: Ask, depth = 1): Promise<Manifest> {
  const response = await ask(`/manifests/${reference}`, { accept: MANIFESTS });
  const text = await (await expectOk(response, uri)).text();
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  if (reference.startsWith('sha256:') && digest !== reference) {
    throw new SourceError(`${uri}: the manifest has ${digest}; the registry or a proxy changed it`);
  }
  const manifest = JSON.parse(text) as Manifest;
  const inner = digestIn(manifest);
  if (inner === undefined || depth === MAX_DEPTH) return manifest;
  return manifestOf(uri, inner, ask, depth + 1);
}

export async function ociEntries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const { host, repository, reference } = parseOci(uri);
  const root = (context.endpoint ?? `https://${host}`).replace(/\/+$/, '');
  const ask = askerOf(root, repository, context);
  const layers = filesOf(uri, await manifestOf(uri, reference, ask), context);
  return layers.map((layer) => ({
    ...layer,
    open: (headers) => ask(`/blobs/${layer.digest}`, headers),
  }));
}
