import type { Entry, Headers, SourceContext } from './entry';
import { expectOk, SourceError } from './entry';
import { lastSegment } from './safe-path';

const DEFAULT_ENDPOINT = 'https://huggingface.co';

interface TreeItem {
  readonly type: string;
  readonly path: string;
  readonly size?: number;
  readonly oid?: string;
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

/**
 * Everything below a path. The hub returns a thousand files a page; only the query of the link to
 * the next page is used, because a mirror's links lead to the hub itself.
 */
async function treeOf(
  url: string,
  headers: Headers,
  { http }: SourceContext,
  what: string,
): Promise<readonly TreeItem[]> {
  const items: TreeItem[] = [];
  for (let query: string | undefined = 'recursive=true'; query !== undefined;) {
    const response: Response = await http(`${url}?${query}`, { headers });
    await expectOk(response, what);
    items.push(...((await response.json()) as readonly TreeItem[]));
    query = /<[^>?]*\?([^>]*)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return items;
}

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/** Files of a repository on the Hugging Face hub, or of a mirror (`source.endpoint`, `HF_ENDPOINT`). */
export async function hfEntries(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  const { http, env, single } = context;
  const endpoint = context.endpoint ?? env['HF_ENDPOINT'] ?? DEFAULT_ENDPOINT;
  const base = endpoint.replace(/\/+$/, '');
  const token = env['HF_TOKEN'];
  const own: Headers = token ? { authorization: `Bearer ${token}` } : {};
  const { name, revision, path } = parseHf(uri);
  const at = encodeURIComponent(revision);
  const open =
    (file: string): Entry['open'] =>
    (headers) =>
      http(`${base}/${name}/resolve/${at}/${encodePath(file)}`, {
        headers: { ...own, ...headers },
      });
  if (single && path !== '') return [{ path: lastSegment(path), open: open(path) }];
  const below = path === '' ? '' : `/${encodePath(path)}`;
  const items = await treeOf(`${base}/api/models/${name}/tree/${at}${below}`, own, context, uri);
  const files = items.filter(({ type }) => type === 'file');
  if (files.length === 0) throw new SourceError(`${uri}: holds no file; check the URI`);
  const cut = path === '' ? 0 : path.length + 1;
  return files.map(({ path: file, size, oid, lfs }) => ({
    path: file.slice(cut),
    open: open(file),
    sha256: lfs?.oid,
    size,
    tag: oid,
  }));
}
