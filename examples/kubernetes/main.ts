// The service on a Kubernetes of your own: `npx cdk8s synth` in this folder, then
// `kubectl apply --server-side -f dist/`. The models come from `ai-model-service synth` beside it.
import { App, Chart } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import { ModelService } from '@suoke/ai-model-service';

const app = new App();
const chart = new Chart(app, 'ai-model-service', { disableResourceNameHashes: true });

// Made beforehand, so that no key stands in Git: see README.md.
const keys = Secret.fromSecretName(chart, 'keys', 'ai-model-service-keys');

// oxlint-disable-next-line no-new
new ModelService(chart, 'service', {
  // Models and routers apart: the token of a router may change what runs beside the models only.
  environment: {
    namespace: 'ai-models',
    createNamespace: true,
    runtime: { namespace: 'ai-model-service' },
  },
  keys,
  // For a cluster of two cores; leave both out on a larger one.
  cpu: '100m',
  maxReplicas: 2,
});

app.synth();
