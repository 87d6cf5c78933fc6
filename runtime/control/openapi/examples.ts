// Example values that the documentation page fills in, so that its button works with the models of
// the repository.

const VERSION = 'v3.0.1';
const NEXT = 'v3-0-2';
const PATIENT = { symptoms: ['头痛', '乏力'], patient_info: { age: 35, gender: 'female' } };
const ROW = {
  symptoms: ['头痛', '乏力'],
  'patient_info.age': 35,
  'patient_info.gender': 'female',
};
const TENSORS = {
  inputs: [
    { name: 'symptoms', datatype: 'BYTES', shape: [1, 2], data: ['头痛', '乏力'] },
    { name: 'patient_info.age', datatype: 'FP32', shape: [1, 1], data: [35] },
    { name: 'patient_info.gender', datatype: 'BYTES', shape: [1, 1], data: ['female'] },
  ],
};

/** Parameters with the same meaning in every call. */
export const PARAM_EXAMPLES: Readonly<Record<string, string>> = {
  id: 'deep_tcm_diagnosis',
  version: VERSION,
  key: 'patient-17',
};

/** Names for calls that no model of the repository supports; the descriptions explain them. */
export const CHAT = 'chat';
export const SCORES = 'scores';
export const ID_EXAMPLES: Readonly<Record<string, string>> = {
  openaiModel: CHAT,
  v1Classify: SCORES,
  v1Regress: SCORES,
  v1Explain: SCORES,
};

/** By operationId. A call without an entry has no example body. */
export const BODY_EXAMPLES: Readonly<Record<string, object>> = {
  inference: { input_data: PATIENT, timeout: 5, priority: 'high' },
  batchInference: { requests: [{ input_data: PATIENT }, { input_data: { symptoms: ['口渴'] } }] },
  v1Predict: { instances: [ROW] },
  v1Classify: { examples: [{ age: 35 }] },
  v1Regress: { examples: [{ age: 35 }] },
  v1Explain: { instances: [{ age: 35 }] },
  openaiChat: { model: CHAT, messages: [{ role: 'user', content: '头痛' }] },
  openaiCompletions: { model: CHAT, prompt: '头痛' },
  openaiEmbeddings: { model: CHAT, input: '头痛' },
  openaiResponses: { model: CHAT, input: '头痛' },
  v2Infer: TENSORS,
  v2InferVersion: TENSORS,
  postModelsDeploy: {
    config: {
      model_id: 'risk',
      version: '1',
      framework: 'onnx',
      repository_url: './health_assessment-v2.0.0.onnx',
    },
  },
  putModelsId: { config: { resource_requirements: { cpu: '250m' } } },
  postModelsIdScale: { replicas: 2 },
  postModelsIdRollback: { revision: 1 },
  postModelsIdTraffic: { candidate: NEXT, percent: 20 },
  postModelsIdPromote: { candidate: NEXT },
  postModelsIdAbort: {},
  putLogLevel: { level: 'debug', seconds: 600 },
};
