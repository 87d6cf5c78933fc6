import type { Entry, SourceContext } from './entry';
import { expectOk, rangeHeader, SourceError } from './entry';

// Artifacts in an OCI registry: distribution-spec 1.1. A layer with a title is a file (as oras
// pushes it), a layer that is a tar is unpacked.

const TITLE = 'org.opencontainers.image.title';
const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

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

/** What to send after a 401: a token from the realm it names, or the credentials themselves. */
async function authorization(challenge: string, context: SourceContext): Promise<string> {
  const basic = basicCredentials(context);
  if (!/^bearer/i.test(challenge)) return basic['authorization'] ?? '';
  const value = (key: string): string =>
    new RegExp(`${key}="([^"]*)"`, 'i').exec(challenge)?.[1] ?? '';
  const query = new URLSearchParams({ service: value('service'), scope: value('scope') });
  const url = `${value('realm')}?${query.toString()}`;
  const response = await expectOk(await context.http(url, { headers: basic }), 'registry token');
  const answer = (await response.json()) as { token?: string; access_token?: string };
  return `Bearer ${answer.token ?? answer.access_token ?? ''}`;
}

export async function ociEntries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const { host, repository, reference } = parseOci(uri);
  const root = context.endpoint ?? `https://${host}`;
  const base = `${root.replace(/\/+$/, '')}/v2/${repository}`;
  let auth: Record<string, string> = {};
  const ask = async (path: string, headers: Record<string, string>): Promise<Response> => {
    const first = await context.http(base + path, { headers: { ...headers, ...auth } });
    if (first.status !== 401) return first;
    await first.body?.cancel();
    const challenge = first.headers.get('www-authenticate') ?? '';
    auth = { authorization: await authorization(challenge, context) };
    return context.http(base + path, { headers: { ...headers, ...auth } });
  };
  const response = await expectOk(await ask(`/manifests/${reference}`, { accept: MANIFESTS }), uri);
  const { layers = [] } = (await response.json()) as { layers?: readonly Layer[] };
  if (layers.length === 0) throw new SourceError(`${uri}: the artifact has no layer; push it anew`);
  return layers.map(({ mediaType, digest, annotations }) => ({
    path: annotations?.[TITLE] ?? digest.replace(':', '-'),
    archive: annotations?.[TITLE] === undefined && /tar/.test(mediaType),
    sha256: digest.replace('sha256:', ''),
    open: (from) => ask(`/blobs/${digest}`, rangeHeader(from)),
  }));
}
