import type { PeerReport, Peer, RouterLoad } from '../core/lifecycle/peers';
import { parseLoad } from './load-schema';

/** Polling interval of a peer, milliseconds. */
export const ASK_MS = 1_000;
/** Time limit of a poll, milliseconds; a later answer would be outdated. */
export const ANSWER_MS = 500;

export interface PeersOptions {
  /** Current peers; undefined: not known. */
  readonly peers: () => readonly Peer[] | undefined;
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Calls once after `ms`; the answer cancels. */
  readonly after: (call: () => void, ms: number) => () => void;
}

export interface Peers {
  /** Every peer with its last report; undefined: the peers are not known. */
  readonly heard: () => readonly PeerReport[] | undefined;
  /** Polls all peers now; resolves when each has answered or timed out. */
  readonly ask: () => Promise<void>;
  readonly stop: () => void;
}

interface PeerAnswer {
  readonly heardAt: number;
  readonly load: RouterLoad;
}

/** `http://10.0.0.7:9090/internal/load`, `http://[fd00::7]:9090/internal/load`. */
function urlOf({ host, port }: Peer): string {
  const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `http://${name}:${port}/internal/load`;
}

/** Undefined when the peer does not answer, or another router has its address. */
async function askOne(options: PeersOptions, peer: Peer): Promise<PeerAnswer | undefined> {
  const { fetch, now, after } = options;
  const ending = new AbortController();
  const cancel = after(() => ending.abort(), ANSWER_MS);
  try {
    const answer = await fetch(urlOf(peer), { signal: ending.signal, redirect: 'error' });
    const load = answer.ok ? parseLoad(await answer.json()) : undefined;
    return load?.router === peer.id ? { heardAt: now(), load } : undefined;
  } catch {
    return undefined;
  } finally {
    cancel();
    ending.abort();
  }
}

/** Polls the load of the other routers every second, each independently. */
export function createPeers(options: PeersOptions): Peers {
  const said = new Map<string, PeerAnswer>();
  const asking = new Map<string, Promise<void>>();
  let cancel = (): void => undefined;
  let stopped = false;

  const hear = async (peer: Peer): Promise<void> => {
    const answer = await askOne(options, peer);
    asking.delete(peer.id);
    if (answer !== undefined) said.set(peer.id, answer);
  };
  /** One poll at a time per peer. */
  const askPeer = (peer: Peer): Promise<void> => {
    const under = asking.get(peer.id) ?? hear(peer);
    asking.set(peer.id, under);
    return under;
  };
  const ask = async (): Promise<void> => {
    const peers = options.peers() ?? [];
    const ids = new Set(peers.map(({ id }) => id));
    for (const id of said.keys()) if (!ids.has(id)) said.delete(id);
    await Promise.all(peers.map(askPeer));
  };
  const again = (): void => {
    if (stopped) return;
    void ask();
    cancel = options.after(again, ASK_MS);
  };
  again();
  return {
    heard: () => options.peers()?.map((peer) => ({ peer, ...said.get(peer.id) })),
    ask,
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}
