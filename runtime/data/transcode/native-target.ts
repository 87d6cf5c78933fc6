import type { ArmRoute } from '../../core/routing/table';

/** Servers that speak native themselves; the built-in one knows the graph, and which model is meant. */
export function nativeTarget({ server, protocol }: ArmRoute, model: string, call: string) {
  if (server.kind === 'onnx') return `/${call}?model=${encodeURIComponent(model)}`;
  return protocol === 'native' ? `/${call}` : undefined;
}
