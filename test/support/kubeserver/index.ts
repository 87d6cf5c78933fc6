import type { ApiServer, Ask, Reply } from '../apiserver';
import { startApiServer } from '../apiserver';
import { Pages, respond } from './routes';
import { Store } from './store';

export { readyStatus, startControllers } from './controllers';
export type { ControllerOptions } from './controllers';
export type { Store } from './store';

/** An API server that keeps what it is given, over TLS; `store` is its back door. */
export interface KubeServer extends ApiServer {
  readonly store: Store;
  /** Answers instead of the store where it gives a reply; undefined takes it away. */
  readonly intercept: (answer: ((ask: Ask) => Reply | undefined) | undefined) => void;
  /** Tells every watch how far it is, as a server does once a minute. */
  readonly bookmark: () => void;
  /** Forgets its history: older watches and half-read lists get 410. */
  readonly compact: () => void;
}

/**
 * Get, list, watch, server-side apply with owners of fields, create, replace, merge patch, delete,
 * the subresources scale and status. Not there: validation by schema, admission, RBAC, finalizers.
 */
export async function startKubeServer(now?: () => number): Promise<KubeServer> {
  const store = new Store(now);
  const pages = new Pages();
  let instead: ((ask: Ask) => Reply | undefined) | undefined;
  const server = await startApiServer((ask) => instead?.(ask) ?? respond(store, pages, ask));
  return Object.assign(server, {
    store,
    intercept: (answer: typeof instead) => {
      instead = answer;
    },
    bookmark: () => {
      const metadata = { resourceVersion: String(store.version) };
      server.streams
        .filter((one) => one.isOpen())
        .forEach((one) => one.send('BOOKMARK', { metadata }));
    },
    compact: () => {
      store.compact();
      pages.expire();
    },
  });
}
