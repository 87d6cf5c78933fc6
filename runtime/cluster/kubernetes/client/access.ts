import type { Agent } from 'node:http';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type * as Kubeconfig from './kubeconfig';
import { KubeError } from './api-error';

export interface AccessOptions {
  /** A kubeconfig file. Absent: `KUBECONFIG`, `~/.kube/config`, or the pod's own account. */
  readonly configPath?: string | undefined;
  /** Of that kubeconfig; absent: its current one. */
  readonly context?: string | undefined;
}

/** How one request authenticates. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'servername' | 'auth'> & {
    readonly rejectUnauthorized: boolean;
  };
  /** Set when the kubeconfig names a proxy. */
  readonly proxy?: Agent;
}

/** Address of the API server and the credentials for it. */
export interface ApiServerAccess {
  readonly server: URL;
  /** Namespace of the context or of the pod, if it has one. */
  readonly namespace: string | undefined;
  /** Called before every request: tokens and certificates are rotated. */
  readonly credentials: () => Promise<Credentials>;
}

const HOW =
  'set kubernetes.config_path or KUBECONFIG to a kubeconfig file, or run in a pod with a service account';

/** Only the first line: a YAML error quotes lines of the file, which may hold secrets. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n', 1)[0] ?? '';
}

/** KubeConfig invents a context of this name, with a guessed server, when it finds none. */
const NOTHING_FOUND = 'loaded-context';

function load(config: KubeConfig, { configPath, context }: AccessOptions): URL {
  if (configPath === undefined) config.loadFromDefault();
  else config.loadFromFile(configPath);
  if (context !== undefined) config.setCurrentContext(context);
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new Error(noContext(config));
  if (config.getCurrentContext() === NOTHING_FOUND)
    throw new Error('the address of the API server is not configured');
  return new URL(server);
}

function noContext(config: KubeConfig): string {
  const names = config.getContexts().map(({ name }) => name);
  const wanted = config.getCurrentContext() ?? '(none)';
  return `context ${wanted} has no cluster; contexts: ${names.join(', ') || '(none)'}`;
}

/** Trims values: token files may end with a line break, which is not allowed in a header. */
function headersOf({ headers = {} }: RequestOptions): Credentials['headers'] {
  const all = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(all.map(([name, value]) => [name, String(value).trim()]));
}

async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const found: RequestOptions = {};
  await config.applyToHTTPSOptions(found);
  const { ca, cert, key, servername, auth, agent } = found;
  const isProxied = config.getCurrentCluster()?.proxyUrl !== undefined;
  return {
    headers: headersOf(found),
    tls: {
      ca,
      cert,
      key,
      servername,
      auth,
      rejectUnauthorized: found.rejectUnauthorized !== false,
    },
    ...(isProxied && typeof agent === 'object' && { proxy: agent }),
  };
}

/**
 * Reads the kubeconfig or the pod's service account with client-node, which supports exec plugins.
 * The module is loaded on the first call.
 * @throws KubeError `access`
 */
export async function openAccess(options: AccessOptions): Promise<ApiServerAccess> {
  const from = options.configPath ?? 'the default kubeconfig or the pod';
  try {
    // oxlint-disable-next-line typescript/no-require-imports
    const { KubeConfig } = require('./kubeconfig') as typeof Kubeconfig;
    const config = new KubeConfig();
    const server = load(config, options);
    const current = config.getContextObject(config.getCurrentContext());
    return {
      server,
      namespace: current?.namespace,
      credentials: () =>
        credentialsOf(config).catch((error: unknown) => {
          throw new KubeError('access', `credentials from ${from}: ${textOf(error)}`);
        }),
    };
  } catch (error) {
    throw new KubeError('access', `access to Kubernetes from ${from}: ${textOf(error)}; ${HOW}`);
  }
}
