import type { Socket } from 'node:net';
import { connect } from 'node:net';

// Requests at an even rate, whether the ones before were answered or not. What a request waited is
// counted from when it should have been sent: a generator that is late hides nothing.

export interface Shot {
  /** 0: the connection broke. */
  readonly status: number;
  /** Milliseconds from the intended moment to the last byte. */
  readonly ms: number;
  readonly arm: string | undefined;
}

export interface Rate {
  readonly port: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly request: (index: number) => string;
}

const HEAD_END = '\r\n\r\n';
const NEVER = 60_000;

class Connection {
  private read = '';
  private onShot: ((status: number, arm: string | undefined) => void) | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly onFree: (one: Connection) => void,
    private readonly onGone: (one: Connection) => void,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.take(bytes.toString('latin1')));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.onGone(this);
      this.tell(0, undefined);
    });
  }

  send(request: string, onShot: (status: number, arm: string | undefined) => void): void {
    this.onShot = onShot;
    this.socket.write(request, 'latin1');
  }

  private tell(status: number, arm: string | undefined): void {
    const { onShot } = this;
    this.onShot = undefined;
    onShot?.(status, arm);
  }

  private take(text: string): void {
    this.read += text;
    const end = this.read.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.read.slice(0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.read.length < end + HEAD_END.length + length) return;
    this.read = '';
    const arm = /\r\nx-ai-model-arm: (\S+)/.exec(head)?.[1];
    this.tell(Number(head.slice(9, 12)), arm);
    if (/\r\nconnection: close/i.test(head)) this.socket.destroy();
    else this.onFree(this);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export class Generator {
  private readonly idle: Connection[] = [];
  private readonly all = new Set<Connection>();

  constructor(private readonly port: number) {}

  shoot(request: string, intended = performance.now()): Promise<Shot> {
    const connection = this.idle.pop() ?? this.open();
    return new Promise((resolve) => {
      connection.send(request, (status, arm) =>
        resolve({ status, ms: performance.now() - intended, arm }),
      );
    });
  }

  private open(): Connection {
    const made = new Connection(
      connect(this.port, '127.0.0.1'),
      (one) => this.idle.push(one),
      (one) => {
        this.all.delete(one);
        const at = this.idle.indexOf(one);
        if (at >= 0) this.idle.splice(at, 1);
      },
    );
    this.all.add(made);
    return made;
  }

  close(): void {
    for (const one of this.all) one.destroy();
  }
}

/** All shots, in the order they were meant to be sent. */
export async function openLoop({
  port,
  perSecond,
  seconds,
  request,
}: Rate): Promise<readonly Shot[]> {
  const generator = new Generator(port);
  const shots: Promise<Shot>[] = [];
  const began = performance.now();
  const count = perSecond * seconds;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(count, ((performance.now() - began) * perSecond) / 1000);
      while (shots.length < due) {
        const intended = began + (shots.length * 1000) / perSecond;
        shots.push(generator.shoot(request(shots.length), intended));
      }
      if (shots.length < count) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  const late = setTimeout(() => generator.close(), NEVER);
  const all = await Promise.all(shots);
  clearTimeout(late);
  generator.close();
  return all;
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}
