import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

// Models of a workspace whose servers a test runs itself, beside the service.

export interface Beside {
  readonly id: string;
  readonly protocol: 'openai' | 'native' | 'v1' | 'v2';
  /** `host:port` */
  readonly address: string;
  /** Of one call, waiting for a replica included. */
  readonly timeoutSeconds?: number;
}

export function writeDefinition(folder: string, beside: Beside): void {
  const { id, protocol, timeoutSeconds = 30 } = beside;
  const lines = [
    `id: ${id}`,
    "version: '1'",
    'framework: custom',
    `image: registry.example.org/${id}:1`,
    `server: { kind: custom, protocol: ${protocol} }`,
    'health: { periodSeconds: 1 }',
    `inference: { timeoutSeconds: ${timeoutSeconds} }`,
  ];
  writeFileSync(join(folder, 'models', `${id}.yaml`), `${lines.join('\n')}\n`);
}

/**
 * Writes `config.yaml` of a workspace: where the models are, and gRPC on any port.
 * @param key without it the service is open, as ever on loopback
 */
export function writeConfig(folder: string, models: readonly Beside[], key?: string): void {
  const endpoints = models.map(({ id, address }) => `    ${id}: { stable: ['${address}'] }`);
  const sha256 = createHash('sha256')
    .update(key ?? '')
    .digest('hex');
  const auth = `auth:\n  mode: api_key\n  keys: [{ name: test, sha256: '${sha256}', scopes: [infer, read] }]`;
  const lines = ['server: { grpc_port: 0 }', 'local:', '  endpoints:', ...endpoints];
  const all = [...lines, ...(key === undefined ? [] : [auth])];
  writeFileSync(join(folder, 'config.yaml'), `${all.join('\n')}\n`);
}
