import { armPath } from './arms';
import { kubernetesMinor } from './environment';
import type { FindingRule } from './finding';
import { DEFAULT_HEALTH_PATH } from './servers';

// Findings about images of one's own.

export const pinnedImage: FindingRule = {
  id: 'image-digest',
  severity: 'warning',
  check: (spec) =>
    spec.arms.flatMap((arm) =>
      arm.image === undefined || arm.image.includes('@sha256:')
        ? []
        : [
            {
              path: armPath(spec, arm, 'image'),
              reason: `${arm.image} is named by a tag, which can be moved: a restart may run something else than was reviewed`,
              fix: 'add @sha256:<digest>',
            },
          ],
    ),
};

export const numericUser: FindingRule = {
  id: 'numeric-user',
  severity: 'warning',
  check: ({ image, runAsUser, server }, { environment }) =>
    image === undefined ||
    runAsUser !== undefined ||
    server.kind !== 'custom' ||
    environment.podSecurity !== 'restricted'
      ? []
      : [
          {
            path: 'runAsUser',
            reason:
              'pods must not run as root, and Kubernetes can check that only for a numeric user: an image whose USER is a name or root will not start',
            fix: 'set `runAsUser`, or declare a numeric USER in the image',
          },
        ],
};

/** An author who names an image and no server may not know its protocol. */
export const nativeImage: FindingRule = {
  id: 'native-image',
  severity: 'warning',
  check: ({ definition, server, image, health }) =>
    image === undefined || definition['server'] !== undefined || server.kind !== 'custom'
      ? []
      : [
          {
            path: 'server',
            reason: `no server is named, so ${image} will be called with the native protocol on port ${server.port}: GET ${health.path ?? DEFAULT_HEALTH_PATH}, POST /inference, POST /batch_inference (docs/native-server.md)`,
            fix: 'write server: { kind: custom } if that is right; else name its protocol (v1, v2, tfs, openai) and port there, or the kind of server that the image holds',
          },
        ],
};

export const sleepBinary: FindingRule = {
  id: 'needs-sleep-binary',
  severity: 'warning',
  check: ({ arms }, { environment }) =>
    kubernetesMinor(environment) >= 30 || arms.every(({ image }) => image === undefined)
      ? []
      : [
          {
            path: 'image',
            reason: `Kubernetes ${environment.kubernetesVersion} has no sleep action (1.30 has): draining runs the image’s own sleep`,
            fix: 'make sure the image has a sleep binary',
          },
        ],
};
