import { createHash } from 'node:crypto';
import type { EnvironmentInput, FileContent, ModelSpec } from '../../../lib/spec';
import { parseEnvironment, withFiles } from '../../../lib/spec';
import type { KubernetesOptions } from '../../../runtime/cluster/kubernetes';
import { createKubernetesCluster } from '../../../runtime/cluster/kubernetes';
import type { Cluster } from '../../../runtime/cluster/port';
import type { KubeServer } from '../../support/kubeserver';
import { startControllers, startKubeServer } from '../../support/kubeserver';

const BYTES = Buffer.from('not really a model');

/** The file `./m.onnx`, as `discover` would have read it. */
export const FILE: FileContent = {
  name: 'm.onnx',
  bytes: BYTES,
  sha256: createHash('sha256').update(BYTES).digest('hex'),
};

export const withFile = (spec: ModelSpec): ModelSpec => withFiles(spec, () => FILE);

export const environment = (more: EnvironmentInput = {}) =>
  parseEnvironment({ monitoring: { style: 'none' }, ...more });

/** The same cluster, for callers whose definitions come with their files, as those of `discover`. */
export function bringingFiles(cluster: Cluster): Cluster {
  return {
    kind: cluster.kind,
    apply: (spec, options) => cluster.apply(withFile(spec), options),
    remove: (id, options) => cluster.remove(id, options),
    setOverrides: (id, state) => cluster.setOverrides(id, state),
    scale: (...given) => cluster.scale(...given),
    history: (id) => cluster.history(id),
    watch: (listener) => cluster.watch(listener),
    close: () => cluster.close(),
  };
}

export interface Fake {
  readonly server: KubeServer;
  readonly told: readonly string[];
  /** A router; all see the same server. */
  readonly open: (options?: Partial<KubernetesOptions>) => Promise<Cluster>;
  readonly end: () => Promise<void>;
}

/** An API server with controllers, and routers that talk to it. */
export async function startFake(): Promise<Fake> {
  const server = await startKubeServer();
  const stop = startControllers(server.store);
  const told: string[] = [];
  const opened: Cluster[] = [];
  return {
    server,
    told,
    open: async (options = {}) => {
      const cluster = await createKubernetesCluster({
        namespace: 'models',
        configPath: server.kubeconfig(),
        mode: 'rest',
        environment: environment(),
        warn: (message) => void told.push(message),
        ...options,
      });
      opened.push(cluster);
      return cluster;
    },
    end: async () => {
      await Promise.all(opened.map((cluster) => cluster.close()));
      stop();
      await server.stop();
    },
  };
}
