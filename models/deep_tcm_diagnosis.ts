import { defineModel } from '@suoke/ai-model-service';

// Symptoms and patient → syndrome (辨证) with probabilities. A demonstration, not medical advice:
// examples/train/README.md says what it was trained on.
export default defineModel({
  id: 'deep_tcm_diagnosis',
  name: '深度中医诊断模型',
  version: 'v3.0.1',
  type: 'tcm_diagnosis',
  framework: 'onnx',
  source: './deep_tcm_diagnosis-v3.0.1.onnx',
  resources: { cpu: '500m', memory: '512Mi' },
  scaling: { minReplicas: 1, maxReplicas: 5, targetCpuUtilization: 70 },
  inference: { cohort: { header: 'x-user-id' } },
  capabilities: ['syndrome_differentiation', 'symptom_analysis'],
  candidates: [{ version: 'v3.0.2', source: './deep_tcm_diagnosis-v3.0.2.onnx', traffic: 10 }],
  waivers: [
    {
      rule: 'single-replica',
      reason: 'an example: the drain of a node may be an outage',
      until: '2036-12-31',
    },
  ],
});
