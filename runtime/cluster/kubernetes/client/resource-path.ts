import type { Resource } from './resources';
import { apiVersionOf } from './resources';

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * `/api/v1/namespaces/ai/pods/x/status?dryRun=All`; what is undefined or false is left out. Objects
 * of the whole cluster have the namespace ''.
 */
export function pathOf(
  resource: Resource,
  namespace: string,
  rest: readonly string[],
  query: Query,
): string {
  const root = resource.group === '' ? 'api' : 'apis';
  const place = namespace === '' ? [] : ['namespaces', namespace];
  const parts = [...place, resource.plural, ...rest].map(encodeURIComponent);
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== false) search.append(key, String(value));
  const path = `/${root}/${apiVersionOf(resource)}/${parts.join('/')}`;
  return search.size === 0 ? path : `${path}?${search}`;
}
