import { connect } from 'node:net';
import type { Socket } from 'node:net';

// A client that costs next to nothing: the same bytes on kept connections, one request at a time on
// each, answers told apart by their Content-Length. Runs as a process of its own.

export interface Load {
  readonly port: number;
  /** A whole request, base64: head and body. */
  readonly request: string;
  readonly connections: number;
  readonly milliseconds: number;
}

export interface Measured {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

const HEAD_END = '\r\n\r\n';

/** Bytes of the first answer in the buffer, and whether it is a 200; undefined until it is whole. */
function answerIn(buffer: Buffer): { size: number; good: boolean } | undefined {
  const end = buffer.indexOf(HEAD_END);
  if (end === -1) return undefined;
  const head = buffer.toString('latin1', 0, end);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  const size = end + HEAD_END.length + length;
  return buffer.length < size ? undefined : { size, good: head.startsWith('HTTP/1.1 200') };
}

class Connection {
  private since = 0;
  private rest: Buffer = Buffer.alloc(0);

  constructor(
    private readonly socket: Socket,
    private readonly request: Buffer,
    private readonly onAnswer: (milliseconds: number, good: boolean) => boolean,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.read(chunk));
  }

  send(): void {
    this.since = performance.now();
    this.socket.write(this.request);
  }

  private read(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const answer = answerIn(this.rest);
    if (answer === undefined) return;
    this.rest = this.rest.subarray(answer.size);
    if (this.onAnswer(performance.now() - this.since, answer.good)) this.send();
    else this.socket.destroy();
  }
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;

export async function run({ port, request, connections, milliseconds }: Load): Promise<Measured> {
  const bytes = Buffer.from(request, 'base64');
  const times: number[] = [];
  let failures = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, '127.0.0.1');
      await new Promise((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const connection = new Connection(socket, bytes, (ms, good) => {
        times.push(ms);
        if (!good) failures += 1;
        return performance.now() - began < milliseconds;
      });
      connection.send();
      await closed;
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  return {
    requests: times.length,
    failures,
    seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  };
}

process.on('message', (load: Load) => {
  void run(load).then((measured) => process.send?.(measured));
});
