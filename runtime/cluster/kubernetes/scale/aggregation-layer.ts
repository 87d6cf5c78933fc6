import { METRICS_API_SERVICE, METRICS_SERVICE } from '../../../../lib/objects/metricsapi';
import type { KubeApi, KubeObject } from '../client/api';
import { KubeError } from '../client/api-error';
import { API_SERVICE, RESOURCES } from '../client/resources';

/** How the API server authenticates to extension API servers. */
export interface FrontProxy {
  /** PEM of the CA of its client certificates. */
  readonly ca: string;
  /** Allowed common names; empty: all that the CA signed. */
  readonly names: readonly string[];
}

const PLACE = { namespace: 'kube-system', name: 'extension-apiserver-authentication' };
const CA_KEY = 'requestheader-client-ca-file';
const NAMES_KEY = 'requestheader-allowed-names';

function listOf(text: string | undefined): readonly string[] | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(value) && value.every((one) => typeof one === 'string')
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

/** @throws Error that names the missing part, without which callers cannot be authenticated */
function frontProxyIn(found: KubeObject | undefined): FrontProxy {
  const data = (found?.data ?? {}) as Readonly<Record<string, string>>;
  const where = `ConfigMap ${PLACE.namespace}/${PLACE.name}`;
  const ca = data[CA_KEY];
  const names = listOf(data[NAMES_KEY]);
  if (ca === undefined || ca.trim() === '')
    throw new Error(`${where} has no ${CA_KEY}; start the API server with its aggregation layer`);
  if (names === undefined) throw new Error(`${where}: ${NAMES_KEY} must be a JSON list of names`);
  return { ca, names };
}

/** Reads the ConfigMap that every API server keeps for extensions. @throws Error, KubeError */
export async function readFrontProxy(api: Pick<KubeApi, 'get'>): Promise<FrontProxy> {
  return frontProxyIn(await api.get(RESOURCES.ConfigMap, PLACE.namespace, PLACE.name));
}

interface ApiServiceSpec {
  readonly service?: { readonly namespace?: string; readonly name?: string } | null;
}

/**
 * The other server of external metrics in this cluster, which can have only one. Undefined: none,
 * this service, or no permission to read it.
 */
export async function otherMetricsServer(
  api: Pick<KubeApi, 'get'>,
  namespace: string,
): Promise<string | undefined> {
  try {
    const found = await api.get(API_SERVICE, '', METRICS_API_SERVICE);
    const { service } = (found?.spec ?? {}) as ApiServiceSpec;
    const isOurs = service?.namespace === namespace && service.name === METRICS_SERVICE;
    if (found === undefined || isOurs) return undefined;
    return service ? `${service.namespace}/${service.name}` : 'the API server itself';
  } catch (error) {
    if (error instanceof KubeError && error.status === 403) return undefined;
    throw error;
  }
}
