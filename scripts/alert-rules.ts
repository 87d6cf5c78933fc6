// Prints the rules that scripts/check-alerts.sh tests with promtool, as a rules file: of a model with a
// candidate, a shadow and an objective, and of the service.
import { serviceAlerts } from '../lib/constructs/service-alerts';
import { alertGroups } from '../lib/objects';
import { parseEnvironment, parseModel } from '../lib/spec';

const spec = parseModel({
  id: 'm',
  version: '1.0.0',
  framework: 'onnx',
  source: 's3://models/m.onnx',
  slo: { availability: 99.9, latencyMs: { p: 99, under: 500 } },
  candidates: [
    { version: '2.0.0', name: 'next', source: 's3://models/next.onnx', traffic: 10 },
    { version: '3.0.0', name: 'shadow', source: 's3://models/shadow.onnx', shadow: 50 },
  ],
});
const environment = parseEnvironment({ namespace: 'production' });
const groups = [
  ...alertGroups([spec], environment),
  { name: 'service', rules: serviceAlerts('production') },
];
console.log(JSON.stringify({ groups }, null, 2));
