import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export function kubectl(args: readonly string[], input?: string): string {
  return execFileSync('kubectl', args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

const run = promisify(execFile);

/** The same, while this process goes on: it may be asked itself by the API server. */
export async function askKubectl(...args: readonly string[]): Promise<string> {
  return (await run('kubectl', args)).stdout;
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: object }[];
}

/** A kubeconfig for the service's account of a namespace. */
export function admitted(namespace: string): string {
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
