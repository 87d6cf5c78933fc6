import type { Arm, Environment, ModelSpec } from '../spec';
import { armPath, DefinitionError, fault } from '../spec';
import { withRegistry } from '../spec/images';

/** The image of this project: it serves ONNX models, and loads artifacts for every server. */
export function runtimeImage(environment: Environment): string {
  return withRegistry(environment.images.onnx, environment.registry);
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
  if (image !== undefined) return withRegistry(image, environment.registry);
  throw new DefinitionError([
    fault(
      armPath(spec, arm, 'image'),
      undefined,
      'given for a custom server',
      'add `image`, or choose a server kind that can load the artifact',
    ),
  ]);
}
