import type { FileBytes, Steps } from './filebytes';
import { bytesInMemory, PagedFile } from './filebytes';
import type { ExternalTensor, OnnxMessage } from './onnxfile';
import { externalOf, MAX_LEVELS, ONNX_PARTS, TENSOR } from './onnxfile';
import type { ProtoField } from './protobuf';
import { protoFields, varintBytes } from './protobuf';

/** A range of bytes of another file. */
export interface Piece {
  readonly file: FileBytes;
  readonly start: number;
  readonly length: number;
}

type Weights = (tensor: ExternalTensor) => Piece;

/** Ranges that follow each other in one file are merged. */
class Pieces {
  readonly all: Piece[] = [];
  length = 0;

  add(piece: Piece): void {
    const last = this.all.at(-1);
    this.length += piece.length;
    if (last?.file === piece.file && last.start + last.length === piece.start) {
      this.all[this.all.length - 1] = { ...last, length: last.length + piece.length };
    } else this.all.push(piece);
  }

  /** Begins a field that has bytes of this length. */
  addHead(field: number, length: number): void {
    const head = Uint8Array.of(...varintBytes(field * 8 + 2), ...varintBytes(length));
    this.add({ file: bytesInMemory(head), start: 0, length: head.length });
  }

  addAll(pieces: Pieces): void {
    for (const piece of pieces.all) this.add(piece);
  }
}

const DROPPED = new Set<number>([TENSOR.raw, TENSOR.external, TENSOR.location]);

/** Returns the new bytes of a message; undefined when it stays unchanged. */
class Rewriter {
  readonly #paged: PagedFile;

  constructor(
    private readonly file: FileBytes,
    private readonly weights: Weights,
  ) {
    this.#paged = new PagedFile(file);
  }

  #whole({ tag, end }: ProtoField): Piece {
    return { file: this.file, start: tag, length: end - tag };
  }

  *tensor(field: ProtoField): Steps<Pieces | undefined> {
    const external = yield* externalOf(this.#paged, field);
    if (external === undefined) return undefined;
    const pieces = new Pieces();
    for (const part of protoFields(this.#paged, field.start, field.end)) {
      yield 1;
      if (!DROPPED.has(part.number)) pieces.add(this.#whole(part));
    }
    const weights = this.weights(external);
    pieces.addHead(TENSOR.raw, weights.length);
    pieces.add(weights);
    return pieces;
  }

  *message(kind: OnnxMessage, start: number, end: number, level = 0): Steps<Pieces | undefined> {
    if (level > MAX_LEVELS) return undefined;
    const pieces = new Pieces();
    let isChanged = false;
    for (const field of protoFields(this.#paged, start, end)) {
      yield 1;
      const inner = yield* this.#inner(kind, field, level);
      if (inner === undefined) pieces.add(this.#whole(field));
      else {
        isChanged = true;
        pieces.addHead(field.number, inner.length);
        pieces.addAll(inner);
      }
    }
    return isChanged ? pieces : undefined;
  }

  *#inner(kind: OnnxMessage, field: ProtoField, level: number): Steps<Pieces | undefined> {
    const part = field.wire === 2 ? ONNX_PARTS[kind][field.number] : undefined;
    if (part === undefined) return undefined;
    if (part === 'tensor') return yield* this.tensor(field);
    return yield* this.message(part, field.start, field.end, level + 1);
  }
}

/** The same model in one file, with the external weights inside. */
export function* withExternalData(model: FileBytes, weights: Weights): Steps<readonly Piece[]> {
  const pieces = yield* new Rewriter(model, weights).message('model', 0, model.size);
  return pieces?.all ?? [{ file: model, start: 0, length: model.size }];
}
