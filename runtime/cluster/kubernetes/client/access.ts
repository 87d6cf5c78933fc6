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

/** What one request needs to be let in. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'servername' | 'auth'> & {
    readonly rejectUnauthorized: boolean;
  };
  /** Only where a proxy stands between. */
  readonly proxy?: Agent;
}

/** Where the API server is and who we are. */
export interface ApiServerAccess {
  readonly server: URL;
  /** Of the context, or of the pod; undefined when it names none. */
  readonly namespace: string | undefined;
  /** Asked before every request: tokens and certificates change while we run. */
  readonly credentials: () => Promise<Credentials>;
}

const HOW =
  'set kubernetes.config_path or KUBECONFIG to a kubeconfig file, or run in a pod with a service account';

/** The first line: a YAML error goes on with lines of the file, and those hold secrets. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n', 1)[0] ?? '';
}

/** The context that KubeConfig makes up when it finds nothing; its server is a guess. */
const NOTHING_FOUND = 'loaded-context';

function load(config: KubeConfig, { configPath, context }: AccessOptions): URL {
  if (configPath === undefined) config.loadFromDefault();
  else config.loadFromFile(configPath);
  if (context !== undefined) config.setCurrentContext(context);
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new Error(noContext(config));
  if (config.getCurrentContext() === NOTHING_FOUND)
    throw new Error('nothing says where the API server is');
  return new URL(server);
}

function noContext(config: KubeConfig): string {
  const names = config.getContexts().map(({ name }) => name);
  const wanted = config.getCurrentContext() ?? '(none)';
  return `context ${wanted} has no cluster; contexts: ${names.join(', ') || '(none)'}`;
}

/** Bearer tokens are read from files that may end with a line break, which no header may. */
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
 * Reads the kubeconfig, or finds the pod's account. client-node does it, and it alone knows exec
 * plugins; what it needs for that is loaded here, and only when it is needed.
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
