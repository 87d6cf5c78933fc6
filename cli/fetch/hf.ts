import type { Entry, SourceContext } from './entry';
import { expectOk, lastSegment, rangeHeader, SourceError } from './entry';

const DEFAULT_ENDPOINT = 'https://huggingface.co';

interface TreeItem {
  readonly type: string;
  readonly path: string;
  readonly lfs?: { readonly oid: string };
}

interface Repository {
  readonly name: string;
  readonly revision: string;
  /** Path inside, `''` for the whole repository. */
  readonly path: string;
}

/** `hf://org/name@revision/path` */
export function parseHf(uri: string): Repository {
  const match = /^hf:\/\/([^/@]+\/[^/@]+)(?:@([^/]+))?\/?(.*)$/i.exec(uri);
  if (match === null) {
    throw new SourceError(`${uri}: must be hf://organization/name@revision; fix the URI`);
  }
  const [, name = '', revision = 'main', path = ''] = match;
  return { name, revision, path: path.replace(/\/+$/, '') };
}

/** Files of a repository on the Hugging Face hub, or of a mirror (`source.endpoint`, `HF_ENDPOINT`). */
export async function hfEntries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const { http, env, single } = context;
  const endpoint = context.endpoint ?? env['HF_ENDPOINT'] ?? DEFAULT_ENDPOINT;
  const base = endpoint.replace(/\/+$/, '');
  const token = env['HF_TOKEN'];
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const { name, revision, path } = parseHf(uri);
  const at = encodeURIComponent(revision);
  const entry = (file: string, below: string, sha256?: string): Entry => ({
    path: below,
    sha256,
    open: (from) =>
      http(`${base}/${name}/resolve/${at}/${file.split('/').map(encodeURIComponent).join('/')}`, {
        headers: { ...headers, ...rangeHeader(from) },
      }),
  });
  if (single && path !== '') return [entry(path, lastSegment(path))];
  const url = `${base}/api/models/${name}/tree/${at}${path === '' ? '' : `/${path}`}?recursive=true`;
  const response = await expectOk(await http(url, { headers }), uri);
  const items = (await response.json()) as readonly TreeItem[];
  const files = items.filter(({ type }) => type === 'file');
  if (files.length === 0) throw new SourceError(`${uri}: holds no file; check the URI`);
  const cut = path === '' ? 0 : path.length + 1;
  return files.map((file) => entry(file.path, file.path.slice(cut), file.lfs?.oid));
}
