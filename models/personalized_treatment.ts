import { defineModel } from '@suoke/ai-model-service';

// Syndrome and patient → ranked treatment principles (治则). A demonstration, not medical advice.
// The next version gets a copy of half the traffic; its answers are compared and thrown away.
export default defineModel({
  id: 'personalized_treatment',
  name: '个性化治疗方案模型',
  version: 'v1.1.0',
  type: 'treatment',
  framework: 'onnx',
  source: './personalized_treatment-v1.1.0.onnx',
  resources: { cpu: '250m', memory: '256Mi' },
  scaling: { minReplicas: 1, maxReplicas: 3 },
  capabilities: ['treatment_principles'],
  candidates: [
    {
      version: 'v1.2.0',
      source: './personalized_treatment-v1.2.0.onnx',
      shadow: 50,
      compare: { rel: 0.05, labels: ['principles'] },
    },
  ],
  waivers: [
    {
      rule: 'single-replica',
      reason: 'an example: the drain of a node may be an outage',
      until: '2036-12-31',
    },
  ],
});
