import { join } from 'node:path';
import { rolled } from './rolled';

// Triton in pods, as its manifest starts it, with answers of up to one second. Its python backend runs
// one call for each instance: several requests go in one, and wait for the next that begins.

rolled({
  recipe: {
    server: 'triton',
    workdir: '/opt/tritonserver',
    items: (packages) => [
      { to: '/opt/tritonserver/backends', link: `${packages}/pytriton/tritonserver/backends` },
      {
        to: '/usr/local/bin/tritonserver',
        link: `${packages}/pytriton/tritonserver/bin/tritonserver`,
      },
      // The python backend starts its models by them.
      { to: '/bin/bash', file: '/bin/bash' },
      { to: '/bin/sh', link: '/bin/bash' },
    ],
  },
  artifact: () => join(__dirname, '..', 'python', 'triton_model.py'),
  model: (image) => ({
    framework: 'pytorch',
    server: { kind: 'triton', image, backend: 'python', instanceGroupCount: 8, maxBatchSize: 128 },
  }),
  shape: [1, 1, 2],
  delaySeconds: 0.5,
});
