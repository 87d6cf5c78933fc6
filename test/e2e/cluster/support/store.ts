import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DEFAULT_IMAGES } from '../../../../lib/spec';
import { ROOT } from '../../../support/sources';
import { NODE } from './standin';

// An object store for artifacts, in the namespace: GET of what a ConfigMap holds.

const PORT = 9000;
const SCRIPT = `
const { createReadStream, statSync } = require('fs');
require('http').createServer((request, response) => {
  const path = '/files/' + request.url.split('/').pop();
  try { response.setHeader('content-length', statSync(path).size); }
  catch { return response.writeHead(404).end(); }
  createReadStream(path).pipe(response);
}).listen(${PORT});
`;

const labels = { app: 'store' };

const pod = {
  automountServiceAccountToken: false,
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    {
      name: 'store',
      image: DEFAULT_IMAGES.onnx,
      command: [NODE, '-e', SCRIPT],
      resources: { requests: { cpu: '10m', memory: '64Mi' } },
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
      volumeMounts: [{ name: 'files', mountPath: '/files' }],
    },
  ],
  volumes: [{ name: 'files', configMap: { name: 'store' } }],
};

/** Objects of a store that holds these models of the repository. */
export function storeObjects(...models: readonly string[]): object[] {
  return storeOf(models.map((name) => join(ROOT, 'models', name)));
}

/** Objects of a store that holds these files under their names. */
export function storeOf(files: readonly string[]): object[] {
  const metadata = { name: 'store', labels };
  const binaryData = Object.fromEntries(
    files.map((path) => [basename(path), readFileSync(path, 'base64')]),
  );
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, binaryData },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ port: PORT }] },
    },
  ];
}

/** Where a file of the store lies, as a definition names it. */
export function stored(namespace: string, name: string) {
  return { uri: `s3://models/${name}`, endpoint: `http://store.${namespace}.svc:${PORT}` };
}
