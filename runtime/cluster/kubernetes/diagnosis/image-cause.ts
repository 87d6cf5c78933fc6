import type { Cause } from './cause';
import { quoted } from './cause';
import { entryOf } from '../../../../lib/spec/entry';

/** Waiting reasons of a container whose image is missing. */
export const IMAGE_REASONS: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);

/** Messages differ by registry; the first rule that matches is used. */
const TROUBLES: readonly (readonly [RegExp, string])[] = [
  [
    /unauthorized|authentication required|authorization failed|denied|forbidden|\b40[13]\b/i,
    'the registry requires other credentials; name a pull Secret of the namespace in the environment’s imagePullSecrets, and check the name of the image',
  ],
  [
    /toomanyrequests|too many requests|\b429\b|rate limit/i,
    'the registry’s rate limit is reached; pull through a mirror or with credentials',
  ],
  [
    /no match for platform|exec format/i,
    'the image is not built for the CPU of the nodes; build it for their platform',
  ],
  [
    /not found|manifest unknown|name unknown|does not exist|\b404\b/i,
    'the image or tag does not exist; push it, or correct docker_image',
  ],
  [
    /no such host|dial tcp|i\/o timeout|connection refused|deadline exceeded|x509|tls|lookup|EOF/i,
    'the registry cannot be reached from the node; check its name, the network and its certificate',
  ],
  [/no space left/i, 'the disk of the node is full; free some or use larger nodes'],
];

const BY_REASON: Readonly<Record<string, string>> = {
  InvalidImageName: 'it is not a valid image name; correct docker_image',
  ErrImageNeverPull:
    'the node lacks the image and may not pull it; load it there, or change imagePullPolicy',
  SignatureValidationFailed: 'its signature is not accepted; sign the image, or use a signed one',
};

/** `details`: the message of the kubelet, from the status or from its last attempt. */
export function imageCause(
  image: string,
  reason: string,
  details: string | undefined,
  since: number,
): Cause {
  const words = details ?? '';
  const trouble =
    entryOf(BY_REASON, reason) ??
    TROUBLES.find(([pattern]) => pattern.test(words))?.[1] ??
    'look at the events of the pod';
  const raw = words === '' ? '' : ` (${quoted(words)})`;
  return {
    cause: 'image-pull',
    message: `image ${image} cannot be pulled: ${trouble}${raw}`,
    since,
    failed: true,
  };
}
