import type { ArmRoute } from '../../core/routing/table';

/** The path of a native call where the server has it; our ONNX server also gets the model. */
export function nativeTarget({ server, protocol }: ArmRoute, model: string, call: string) {
  if (server.kind === 'onnx') return `/${call}?model=${encodeURIComponent(model)}`;
  return protocol === 'native' ? `/${call}` : undefined;
}
