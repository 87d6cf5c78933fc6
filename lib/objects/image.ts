import type { Arm, Environment, ModelSpec } from '../spec';
import { armPath, DefinitionError, fault } from '../spec';

/**
 * The first part of an image name is a registry when it looks like a host: with a dot, a port or a
 * capital, or localhost (distribution/reference, splitDockerDomain).
 */
function namesRegistry(image: string): boolean {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:A-Z]/.test(first) || first === 'localhost');
}

function withRegistry(image: string, { registry }: Environment): string {
  return registry === undefined || namesRegistry(image)
    ? image
    : `${registry.replace(/\/$/, '')}/${image}`;
}

/** Our own image: it serves ONNX models, and fetches artifacts for every server. */
export function runtimeImage(environment: Environment): string {
  return withRegistry(environment.images.onnx, environment);
}

/**
 * The image an arm runs.
 * @throws DefinitionError when a custom server has none
 */
export function imageOf(spec: ModelSpec, arm: Arm, environment: Environment): string {
  const { server } = arm;
  const image =
    arm.image ??
    server.image ??
    (server.kind === 'custom' ? undefined : environment.images[server.kind]);
  if (image !== undefined) return withRegistry(image, environment);
  throw new DefinitionError([
    fault(
      armPath(spec, arm, 'image'),
      undefined,
      'given for a custom server',
      'add image, or choose a server kind that can load the artifact',
    ),
  ]);
}
