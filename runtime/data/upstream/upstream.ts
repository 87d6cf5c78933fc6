import type { ReplicaRoute } from '../../core/routing/table';
import type {
  HttpResponse,
  ResponseHandler,
  ExchangeFailure,
  HeaderText,
  Upload,
} from '../http/exchange';
import type { ClientRequest } from '../http/client/request-writer';
import type { HttpClient } from '../http/client/client';
import { createHttpClient } from '../http/client/client';
import { BodyBuffer } from '../http/buffers/body-buffer';
import type { Holding } from '../../shared/held-bytes';
import { MemoryFull, UNCOUNTED } from '../../shared/held-bytes';

const NOTHING = Buffer.alloc(0);

/** One request to one replica; `headers` without Host, length and deadline, which each try adds. */
export interface ReplicaRequest extends ClientRequest {
  readonly replica: ReplicaRoute;
}

/** Sends requests to model servers over connections that are kept. */
export interface Upstream {
  readonly send: (request: ReplicaRequest, asker: ResponseHandler) => void;
  readonly close: () => void;
}

function framingOf(upload: Upload | undefined): HeaderText {
  if (upload === undefined) return '';
  const { length } = upload;
  return length === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${length}\r\n`;
}

/** Head lines of one try: they name the replica and the time that is left. */
function headersOf({ replica, headers, body, upload, timeoutMs }: ReplicaRequest): HeaderText {
  const framing = body === undefined ? framingOf(upload) : `content-length: ${body.length}\r\n`;
  const deadline = `x-ai-model-deadline-ms: ${Math.ceil(timeoutMs)}\r\n`;
  return `host: ${replica.address}\r\n${headers}${framing}${deadline}`;
}

export function createUpstream(client: HttpClient = createHttpClient()): Upstream {
  return {
    send: (request, asker) => {
      const { replica, method, target, body, upload, timeoutMs, signal } = request;
      const { repeatable, isAgain } = request;
      const outgoing = {
        method,
        target,
        headers: headersOf(request),
        body,
        upload,
        timeoutMs,
        signal,
        repeatable,
        isAgain,
        refusesRedirects: true,
      };
      client.send(replica, outgoing, asker);
    },
    close: client.close,
  };
}

/** What an answer may cost that is read whole. */
export interface CollectLimits {
  readonly limit: number;
  /** For all of it: a server that drips must not outlive the request. */
  readonly timeoutMs: number;
  readonly held: Holding;
}

/** What is held of an answer grows by so much at a time; bytes. */
const STEP_BYTES = 65_536;

/** An answer in memory, counted before it is there. */
class AnswerBuffer {
  private readonly pieces = new BodyBuffer();
  private size = 0;
  private taken = 0;

  constructor(
    private readonly held: Holding,
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
    // Few bytes are counted exactly, many in steps.
    const missing = this.size - this.taken;
    if (missing > 0) this.reserve(this.size < STEP_BYTES ? missing : Math.max(missing, STEP_BYTES));
    this.pieces.copy(piece);
  }

  take(): Buffer | Promise<Buffer> {
    return this.pieces.takeLarge();
  }

  /** Nobody wants it. */
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

/** Collects the rest of an answer in one buffer; tells what is wrong with it otherwise. */
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
        // The bytes are ours for this call only.
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
  // Most answers are whole by now.
  if (isOver) return;
  timer = setTimeout(() => void stop({ kind: 'timeout' }), timeoutMs);
}

/** Of something that is small, or of a server of ours: it is not counted. */
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
