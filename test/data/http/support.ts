import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { Exchange } from '../../../runtime/data/http/exchange';
import type { WriteRefusal } from '../../../runtime/data/http/server/early-refusal';
import { DEFAULT_CALLER_LIMITS } from '../../../runtime/data/http/server/caller-limits';
import { ServerConnection } from '../../../runtime/data/http/server/server-connection';

/** A socket without a network: what is pushed comes in, what is written is kept. */
export class FakeSocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  written = '';

  override _read(): void {}

  override _write(bytes: Buffer, _: string, done: () => void): void {
    this.written += bytes.toString('latin1');
    done();
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/** An engine by itself says what is wrong, and no more. */
export const plainly: WriteRefusal = ({ message }) => ({ headers: '', body: message });

/** Our engine on a fake socket; every request whose body came whole is answered and told. */
export function ours(): { readonly socket: FakeSocket; readonly seen: readonly Seen[] } {
  const socket = new FakeSocket();
  const seen: Seen[] = [];
  const answer = async (exchange: Exchange): Promise<void> => {
    const { method, path, query } = exchange;
    try {
      const body = await exchange.body(1 << 20);
      seen.push({ method, url: path + query, body: body.toString('latin1') });
      exchange.answer(200, '', 'ok');
    } catch {
      // The engine has refused it, or nobody is there.
    }
  };
  const hooks = {
    handle: (one: Exchange) => void answer(one),
    refuse: plainly,
    limits: DEFAULT_CALLER_LIMITS,
    isClosing: () => false,
  };
  // oxlint-disable-next-line no-new
  new ServerConnection(socket as unknown as Socket, false, hooks);
  return { socket, seen };
}

/** Until everything that has come is worked off. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
