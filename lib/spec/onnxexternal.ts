import { bytesInMemory, PagedFile } from './filebytes';
import type { ExternalTensor, OnnxMessage } from './onnxfile';
import { externalOf, ONNX_PARTS, TENSOR } from './onnxfile';
import type { ProtoField } from './protobuf';
import { protoFields, varintBytes } from './protobuf';

type Weights = (tensor: ExternalTensor) => Uint8Array;

/** Bytes in pieces, with their length: nothing is copied until the end. */
interface Pieces {
  readonly parts: readonly Uint8Array[];
  readonly length: number;
}

const piecesOf = (parts: readonly Uint8Array[]): Pieces => ({
  parts,
  length: parts.reduce((sum, { length }) => sum + length, 0),
});

function fieldOf(number: number, { parts, length }: Pieces): readonly Uint8Array[] {
  return [varintBytes(number * 8 + 2), varintBytes(length), ...parts];
}

class Rewriter {
  readonly #file: PagedFile;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly weights: Weights,
  ) {
    this.#file = new PagedFile(bytesInMemory(bytes));
  }

  tensor(field: ProtoField): Pieces {
    const external = externalOf(this.#file, field);
    if (external === undefined) return piecesOf([this.bytes.subarray(field.start, field.end)]);
    const dropped = new Set<number>([TENSOR.raw, TENSOR.external, TENSOR.location]);
    const kept = [...protoFields(this.#file, field.start, field.end)]
      .filter(({ number }) => !dropped.has(number))
      .map(({ tag, end }) => this.bytes.subarray(tag, end));
    return piecesOf([...kept, ...fieldOf(TENSOR.raw, piecesOf([this.weights(external)]))]);
  }

  message(kind: OnnxMessage, start: number, end: number): Pieces {
    const parts = [...protoFields(this.#file, start, end)].flatMap((field) => {
      const part = field.wire === 2 ? ONNX_PARTS[kind][field.number] : undefined;
      if (part === undefined) return [this.bytes.subarray(field.tag, field.end)];
      const inner =
        part === 'tensor' ? this.tensor(field) : this.message(part, field.start, field.end);
      return fieldOf(field.number, inner);
    });
    return piecesOf(parts);
  }
}

/** The same model in one file: weights that stood in other files stand in it. */
export function withExternalData(model: Uint8Array, weights: Weights): Uint8Array {
  const { parts, length } = new Rewriter(model, weights).message('model', 0, model.length);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
