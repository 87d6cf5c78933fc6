import type { HttpResponse, ExchangeFailure } from '../http/exchange';
import { BodyBuffer } from '../http/buffers/body-buffer';
import type { Reservation } from '../../shared/held-bytes';
import { MemoryFull, UNCOUNTED } from '../../shared/held-bytes';

const NOTHING = Buffer.alloc(0);

/** Limits of a response that is read whole. */
export interface CollectLimits {
  readonly limit: number;
  /** For the whole body: a slow server must not outlive the request. */
  readonly timeoutMs: number;
  readonly held: Reservation;
}

/** Memory for a response is reserved in steps of so many bytes. */
const STEP_BYTES = 65_536;

/** A response in memory, whose bytes are reserved before they are stored. */
class AnswerBuffer {
  private readonly pieces = new BodyBuffer();
  private size = 0;
  private taken = 0;

  constructor(
    private readonly held: Reservation,
    announced: number,
  ) {
    if (announced <= STEP_BYTES) return;
    this.reserve(announced);
    this.pieces.expect(announced);
  }

  /** @throws MemoryFull */
  private reserve(bytes: number): void {
    this.held.take(bytes);
    this.taken += bytes;
  }

  /** @throws MemoryFull */
  add(piece: Buffer): void {
    this.size += piece.length;
    // Small sizes are reserved exactly, large ones in steps.
    const missing = this.size - this.taken;
    if (missing > 0) this.reserve(this.size < STEP_BYTES ? missing : Math.max(missing, STEP_BYTES));
    this.pieces.copy(piece);
  }

  take(): Buffer | Promise<Buffer> {
    return this.pieces.takeLarge();
  }

  /** Frees the memory of a response that is not used. */
  drop(): void {
    this.pieces.clear();
    this.held.give(this.taken);
    this.taken = 0;
  }
}

function then(whole: Buffer | Promise<Buffer>, go: (whole: Buffer) => void): void {
  if (whole instanceof Promise) void whole.then(go);
  else go(whole);
}

const announcedBy = ({ fields }: HttpResponse): number => Number(fields.get('content-length') ?? 0);

/** Collects the rest of a response in one buffer; `done` gets that buffer or the error. */
export function collect(
  answered: HttpResponse,
  { limit, timeoutMs, held }: CollectLimits,
  done: (result: Buffer | ExchangeFailure | MemoryFull) => void,
): void {
  const { body } = answered;
  const announced = announcedBy(answered);
  let buffer: AnswerBuffer | undefined;
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const settle = (result: Buffer | ExchangeFailure | MemoryFull): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    if (!Buffer.isBuffer(result)) buffer?.drop();
    done(result);
  };
  const stop = (why: ExchangeFailure | MemoryFull): false => {
    settle(why);
    body.destroy();
    return false;
  };
  const keep = (piece: Buffer): void => {
    buffer ??= new AnswerBuffer(held, announced);
    buffer.add(piece);
  };
  body.flow({
    data: (piece) => {
      size += piece.length;
      if (Math.max(size, announced) > limit) {
        return stop({ kind: 'protocol', message: `the answer has more than ${limit} bytes` });
      }
      try {
        // The client reuses these bytes after this call, so they are copied.
        keep(piece);
        return true;
      } catch (error) {
        if (!(error instanceof MemoryFull)) throw error;
        return stop(error);
      }
    },
    end: () => then(buffer?.take() ?? NOTHING, settle),
    fail: settle,
  });
  // Most responses are complete by now.
  if (isOver) return;
  timer = setTimeout(() => void stop({ kind: 'timeout' }), timeoutMs);
}

/** Reads a small response, or one of our own server; its memory is not counted. */
export function readAll(
  answered: HttpResponse,
  limit: number,
  timeoutMs: number,
): Promise<Buffer | ExchangeFailure> {
  return new Promise((resolve) => {
    collect(answered, { limit, timeoutMs, held: UNCOUNTED }, (result) => {
      // Uncounted memory is never full.
      resolve(result instanceof MemoryFull ? { kind: 'aborted' } : result);
    });
  });
}
