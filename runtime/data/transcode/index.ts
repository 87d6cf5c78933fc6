import type { ArmRoute } from '../../core/routing/table';
import { readLoose, writeJson, writeStrict } from './exact-json';
import type { NativeItem, NativeOutput } from './native-format';
import { readResult } from './native-format';
import { nativeToOpenai, openaiToNative } from './native-to-openai';
import { splicedAnswer, SplicedCall, splicedResult, splicedRows, splicedV2 } from './copied-text';
import { nativeTarget } from './native-target';
import { nativeToV1, v1ToNative } from './v1';
import type { ModelInputs } from './v2';
import { nativeToV2, rowsOfShapes, v2ToNative } from './v2';

/** A native call encoded for a server, with the decoders of its response. */
export interface EncodedNativeCall {
  readonly target: string;
  readonly body: string;
  /**
   * The server's answer as a native output. The fast path copies texts of numbers instead of
   * parsing them; `undefined`: the answer is not simple, use `read`.
   */
  readonly splice: (text: string) => NativeOutput | undefined;
  /** The same for every answer; `undefined`: it is not valid for the server's protocol. */
  readonly read: (text: string) => NativeOutput | undefined;
}

/** Does encoding for this arm need the metadata of the model's inputs? */
export function wantsMetadata({ server, protocol }: ArmRoute): boolean {
  return protocol === 'v2' && server.kind !== 'onnx';
}

/** Parses the whole text. */
const parsed =
  (read: (answer: unknown) => NativeOutput | undefined) =>
  (text: string): NativeOutput | undefined => {
    try {
      return read(readLoose(text));
    } catch {
      return undefined;
    }
  };

const notSimple = (): undefined => undefined;
const READ_NATIVE = { splice: splicedResult, read: parsed(readResult) };
const READ_V1 = { splice: notSimple, read: parsed(v1ToNative) };

function nativeBody(item: NativeItem): string {
  if (item instanceof SplicedCall) return item.text;
  const { input_data: input, parameters } = item;
  return writeStrict({ input_data: input, ...(parameters && { parameters }) });
}

/** A call for a V2 server. */
interface V2Call {
  readonly body: string;
  readonly rows: number;
}

function v2Call(item: NativeItem, metadata: ModelInputs | undefined): V2Call {
  const spliced = item instanceof SplicedCall ? splicedV2(item, metadata) : undefined;
  if (item instanceof SplicedCall && spliced !== undefined) {
    return { body: spliced, rows: splicedRows(item, metadata) };
  }
  const { input_data: input, parameters } = item;
  const inputs = nativeToV2(input, metadata);
  const body = writeJson({ inputs, ...(parameters && { parameters }) });
  return { body, rows: rowsOfShapes(inputs.map(({ shape }) => shape)) };
}

const readV2 = (rows: number) => ({
  splice: rows === 1 ? splicedAnswer : notSimple,
  read: parsed((answer) => v2ToNative(answer, rows)),
});

/** @throws Refusal when it is not an OpenAI call */
export function encodeOpenai(model: string, item: NativeItem, stream: boolean): EncodedNativeCall {
  const { input_data, parameters } = item;
  const call = nativeToOpenai({ input_data, parameters }, model, stream);
  const read = parsed((answer) => openaiToNative(answer, call));
  return { target: call.target, body: writeStrict(call.body), splice: notSimple, read };
}

/** @throws Refusal when the server's protocol cannot express it */
export function encodeNative(
  arm: ArmRoute,
  model: string,
  item: NativeItem,
  metadata: ModelInputs | undefined,
): EncodedNativeCall {
  const native = nativeTarget(arm, model, 'inference');
  const name = encodeURIComponent(model);
  if (native !== undefined) return { target: native, body: nativeBody(item), ...READ_NATIVE };
  switch (arm.protocol) {
    case 'v2': {
      const { body, rows } = v2Call(item, metadata);
      return { target: `/v2/models/${name}/infer`, body, ...readV2(rows) };
    }
    case 'v1':
    case 'tfs': {
      const body = writeJson(nativeToV1(item.input_data, item.parameters));
      return { target: `/v1/models/${name}:predict`, body, ...READ_V1 };
    }
    default:
      return encodeOpenai(model, item, false);
  }
}
