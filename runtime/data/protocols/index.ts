import type { ArmRoute } from '../../core/table';
import { Refusal } from '../errors';
import { writeJson } from './exact';
import type { NativeItem, NativeOutput } from './native';
import { readResult } from './native';
import { nativeToV1, v1ToNative } from './v1';
import type { ModelMetadata } from './v2';
import { nativeToV2, v2ToNative } from './v2';

/** A native call in the words of the server that gets it. */
export interface Translated {
  readonly target: string;
  readonly body: string;
  /** What the server answered, in native words; undefined when it is not what its protocol says. */
  readonly read: (answer: unknown) => NativeOutput | undefined;
}

/** Servers that speak native themselves; the built-in one knows the graph, and which model is meant. */
export function nativeTarget({ server, protocol }: ArmRoute, model: string, call: string) {
  if (server.kind === 'onnx') return `/${call}?model=${encodeURIComponent(model)}`;
  return protocol === 'native' ? `/${call}` : undefined;
}

/** Does a translation need to know the model's inputs? */
export function wantsMetadata({ server, protocol }: ArmRoute): boolean {
  return protocol === 'v2' && server.kind !== 'onnx';
}

/** @throws Refusal when the server's protocol cannot say it */
export function translate(
  arm: ArmRoute,
  model: string,
  item: NativeItem,
  metadata: ModelMetadata | undefined,
): Translated {
  const { input_data: input, parameters } = item;
  const native = nativeTarget(arm, model, 'inference');
  const name = encodeURIComponent(model);
  if (native !== undefined) {
    const body = writeJson({ input_data: input, ...(parameters && { parameters }) });
    return { target: native, body, read: readResult };
  }
  switch (arm.protocol) {
    case 'v2': {
      const inputs = nativeToV2(input, metadata);
      const body = writeJson({ inputs, ...(parameters && { parameters }) });
      return { target: `/v2/models/${name}/infer`, body, read: v2ToNative };
    }
    case 'v1':
    case 'tfs': {
      const body = writeJson(nativeToV1(input, parameters));
      return { target: `/v1/models/${name}:predict`, body, read: v1ToNative };
    }
    default:
      throw new Refusal(
        'INVALID_REQUEST',
        `model ${model} speaks ${arm.protocol}; call it at /openai/v1/chat/completions`,
      );
  }
}
