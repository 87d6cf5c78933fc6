import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubernetesCluster } from '../../runtime/cluster/kubernetes';
import { clusterConformance } from '../cluster/conformance';
import { bringingFiles, environment } from '../cluster/kubernetes/fake';
import { roleObjects } from './rights';

// Against a real API server with the controllers of Kubernetes; nodes may be fake. The service is
// let in as its own account, with exactly the Role that we render.

const { KUBECONFIG } = process.env;
const NAMESPACES = `e2e-${process.pid.toString(36)}`;
let count = 0;

function kubectl(args: readonly string[], input?: string): string {
  return execFileSync('kubectl', args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: object }[];
}

/** A kubeconfig for the service's account of a namespace. */
function admitted(namespace: string): string {
  const text = kubectl(['config', 'view', '--raw', '--minify', '-o', 'json']);
  const { cluster } = (JSON.parse(text) as Kubeconfig).clusters[0] ?? { cluster: {} };
  const account = ['create', 'token', 'ai-model-service', '-n', namespace];
  const token = kubectl(account).trim();
  const path = join(tmpdir(), `${namespace}.kubeconfig`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace } }],
    'current-context': 'x',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

function place(): { readonly namespace: string; readonly configPath: string } {
  count += 1;
  const namespace = `${NAMESPACES}-${count}`;
  kubectl(['create', 'namespace', namespace]);
  kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(roleObjects(namespace, 'rest')));
  return { namespace, configPath: admitted(namespace) };
}

if (KUBECONFIG === undefined) {
  test.skip('kubernetes: set KUBECONFIG to run against a real API server', () => undefined);
} else {
  clusterConformance('kubernetes over a real API server', async () => {
    const { namespace, configPath } = place();
    const cluster = await createKubernetesCluster({
      configPath,
      mode: 'rest',
      environment: environment(),
      tell: (message) => console.warn(message),
    });
    const end = async (): Promise<void> => {
      await cluster.close();
      kubectl(['delete', 'namespace', namespace, '--wait=false']);
    };
    return { cluster: bringingFiles(cluster), end };
  });
}
