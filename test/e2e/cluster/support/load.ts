import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { call } from '../../service';
import type { Place } from './place';

/** What became of a steady load. */
export interface Report {
  readonly sent: number;
  /** Requests a second over the whole time, as they were really sent. */
  readonly rate: number;
  /** Every answer that was not 200, in the words it came with. */
  readonly failed: readonly string[];
}

export interface Load {
  readonly stop: () => Promise<Report>;
  readonly sent: () => number;
}

const BEAT_MS = 20;
/**
 * The service closes a connection that has been idle for 75 s. Whoever keeps one that long may ask
 * over it just then, above all a caller that stands still meanwhile: this one gives it up before.
 */
const IDLE_MS = 20_000;

export interface Asked {
  readonly path: string;
  readonly body: object;
  /** Routers that are called in turn; without it the Service chooses one. */
  readonly routers?: readonly string[];
  /** Default: that of the place. */
  readonly key?: Readonly<Record<string, string>>;
}

/** Sends so many requests a second, whatever becomes of them: callers do not wait for each other. */
export function steadyLoad(place: Place, asked: Asked, rate: number): Load {
  const { url, tls } = place;
  const { path, body, routers = [url], key = place.key } = asked;
  // One connection for each that is under way; idle ones are used again.
  const options = { keepAlive: true, maxSockets: Infinity, timeout: IDLE_MS };
  const agent = tls === undefined ? new Agent(options) : new TlsAgent({ ...options, ...tls });
  const failed: string[] = [];
  const open = new Set<Promise<void>>();
  const begun = Date.now();
  let sent = 0;
  const over = new AbortController();
  const one = async (): Promise<void> => {
    try {
      const { status, text } = await call(
        (routers[sent % routers.length] ?? url) + path,
        'POST',
        body,
        agent,
        key,
      );
      if (status !== 200) failed.push(`${new Date().toISOString()} ${status} ${text}`);
    } catch (error) {
      failed.push(`${new Date().toISOString()} ${String(error)}`);
    }
  };
  const run = async (): Promise<void> => {
    while (!over.signal.aborted) {
      // What the timer is late with is made up for: the rate holds on a busy machine, too.
      for (const due = ((Date.now() - begun) * rate) / 1000; sent < due; sent += 1) {
        const request = one().finally(() => open.delete(request));
        open.add(request);
      }
      await sleep(BEAT_MS);
    }
  };
  const running = run();
  return {
    sent: () => sent,
    stop: async () => {
      over.abort();
      await running;
      const seconds = (Date.now() - begun) / 1000;
      await Promise.all(open);
      agent.destroy();
      return { sent, rate: Math.round((sent / seconds) * 10) / 10, failed };
    },
  };
}
