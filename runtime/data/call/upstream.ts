import type { Replica } from '../../core/table';
import type { Answered, Asker, Broken, HeaderText, Upload } from '../exchange';
import type { Asking } from '../http/asking';
import type { HttpClient } from '../http/client';
import { createHttpClient } from '../http/client';

/** One request to one replica; `headers` without Host, length and deadline, which each try adds. */
export interface Sending extends Asking {
  readonly replica: Replica;
}

/** Sends requests to model servers over connections that are kept. */
export interface Upstream {
  readonly send: (sending: Sending, asker: Asker) => void;
  readonly close: () => void;
}

function framingOf(upload: Upload | undefined): HeaderText {
  if (upload === undefined) return '';
  const { length } = upload;
  return length === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${length}\r\n`;
}

/** Head lines of one try: they name the replica and the time that is left. */
function headersOf({ replica, headers, body, upload, timeoutMs }: Sending): HeaderText {
  const framing = body === undefined ? framingOf(upload) : `content-length: ${body.length}\r\n`;
  const deadline = `x-ai-model-deadline-ms: ${Math.ceil(timeoutMs)}\r\n`;
  return `host: ${replica.address}\r\n${headers}${framing}${deadline}`;
}

export function createUpstream(client: HttpClient = createHttpClient()): Upstream {
  return {
    send: (sending, asker) => {
      const { replica, method, target, body, upload, timeoutMs, signal, repeatable } = sending;
      const headers = headersOf(sending);
      const asking = { method, target, headers, body, upload, timeoutMs, signal, repeatable };
      client.send(replica, asking, asker);
    },
    close: client.close,
  };
}

/**
 * Collects the rest of an answer in one buffer; tells what is wrong with it otherwise.
 * @param timeoutMs for all of it: a server that drips must not outlive the request
 */
export function collect(
  { body }: Answered,
  limit: number,
  timeoutMs: number,
  tell: (result: Buffer | Broken) => void,
): void {
  const pieces: Buffer[] = [];
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const settle = (result: Buffer | Broken): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    tell(result);
  };
  body.flow({
    data: (piece) => {
      size += piece.length;
      // The bytes are ours for this call only.
      if (size <= limit) pieces.push(Buffer.from(piece));
      else {
        settle({ kind: 'protocol', message: `the answer has more than ${limit} bytes` });
        body.destroy();
      }
      return size <= limit;
    },
    end: () => settle(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, size)),
    fail: settle,
  });
  // Most answers are whole by now.
  if (isOver) return;
  timer = setTimeout(() => {
    settle({ kind: 'timeout' });
    body.destroy();
  }, timeoutMs);
}

export function readAll(
  answered: Answered,
  limit: number,
  timeoutMs: number,
): Promise<Buffer | Broken> {
  return new Promise((resolve) => collect(answered, limit, timeoutMs, resolve));
}
