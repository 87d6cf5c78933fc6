import { z } from 'zod';
import { environmentSchema } from '../spec';
import { namespaceSchema } from '../spec/environment';
import { MAX_OBJECT_NAME, OBJECT_NAME } from '../spec/kubetext';
import { pathSchema } from './path';

const objectName = z
  .string()
  .max(MAX_OBJECT_NAME)
  .regex(OBJECT_NAME, 'the name of an object; fix the name');

const keyOrPrefix = z
  .string()
  .max(317)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\/(?:\*|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)$/,
    'a key such as team or example.com/team, or example.com/*; fix the key',
  );

export const kubernetesSchema = z.strictObject({
  namespace: namespaceSchema
    .optional()
    .describe(
      'Namespace of the models; KUBERNETES_NAMESPACE overrides it; absent: that of the pod or kubeconfig.',
    ),
  namespaces: z
    .array(namespaceSchema)
    .max(100)
    .default([])
    .describe('Further namespaces whose models are served; new ones go into `namespace`.'),
  runtimeNamespace: namespaceSchema
    .optional()
    .describe('Namespace of the service and of its state; absent: that of the pod.'),
  configPath: pathSchema
    .optional()
    .describe('A kubeconfig; absent: KUBECONFIG, ~/.kube/config, or the pod’s own account.'),
  context: z
    .string()
    .min(1)
    .optional()
    .describe('Context of the kubeconfig; absent: its current one.'),
  mode: z
    .enum(['rest', 'gitops'])
    .default('rest')
    .describe('gitops: definitions come from Git alone, changes by REST are refused.'),
  environment: environmentSchema
    .optional()
    .describe('How definitions become objects; absent: environments.ts, as for synth.'),
  externalMetrics: z
    .strictObject({
      port: z.int().min(0).max(65_535).describe('Port that the API server calls.'),
      cert: pathSchema.describe('File with the certificate chain; read again when it changes.'),
      key: pathSchema.describe('File with its private key.'),
    })
    .optional()
    .describe(
      'Port of external.metrics.k8s.io for autoscalers, with its PEM files; off if absent.',
    ),
  allowedSecrets: z
    .array(objectName)
    .max(1000)
    .default([])
    .describe('Secrets that definitions by REST may name beside the model’s own, <slug>--….'),
  allowedClaims: z
    .array(objectName)
    .max(1000)
    .default([])
    .describe('Claims that pvc:// sources by REST may name beside the model’s own, <slug>--….'),
  allowedMetadata: z
    .array(keyOrPrefix)
    .max(1000)
    .default([])
    .describe('Further keys of labels and annotations by REST: a key, or prefix/*.'),
  allowedNodes: z
    .array(keyOrPrefix)
    .max(1000)
    .default([])
    .describe('Further keys of node selectors and tolerations by REST: a key, or prefix/*.'),
  allowedClasses: z
    .array(objectName)
    .max(1000)
    .default([])
    .describe('Priority, runtime and storage classes that definitions by REST may name.'),
});
