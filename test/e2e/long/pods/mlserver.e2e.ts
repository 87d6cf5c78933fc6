import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../../support/sources';
import { findServer } from '../install';
import { rolled } from './rolled';

// MLServer in pods, as its manifest starts it, with answers of one second.

const PYTHON = join(__dirname, '..', 'python');

rolled({
  recipe: {
    server: 'mlserver',
    workdir: '/opt/mlserver',
    items: (packages) => [
      { to: '/usr/local/bin/mlserver', file: join(PYTHON, 'start_mlserver.py') },
      { to: `${packages}/slow_sklearn.py`, file: join(PYTHON, 'slow_sklearn.py') },
    ],
  },
  artifact: () => {
    const file = join(ROOT, 'build', 'long', 'model.joblib');
    const python = join(findServer('mlserver') ?? '', 'bin', 'python');
    execFileSync(python, [join(PYTHON, 'make_sklearn.py'), file]);
    return file;
  },
  model: (image) => ({
    framework: 'sklearn',
    server: { kind: 'mlserver', image, implementation: 'slow_sklearn.SlowSKLearn' },
  }),
  shape: [1, 2],
  delaySeconds: 1,
});
