import { lookup as resolveName } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import { addressKind, hostKind, isListedHost } from '../../lib/spec/hosts';
import { SourceError } from './entry';

// Checks the addresses that the loader connects to. A name is not enough: its owner may let it
// resolve to the metadata service, or to a database beside the pod, and to another address a second
// later. So the resolved address is checked, and the connection goes to exactly that address.

export interface Resolved {
  readonly address: string;
  readonly family: number;
}

export interface GuardOptions {
  /** Hosts that may have private addresses: host, `host:port`, `*.domain`. */
  readonly allowHosts: readonly string[];
  /** URLs that the definition or the pod's environment names, without those from responses. */
  readonly named: readonly string[];
  /** Addresses of a name; for tests. */
  readonly resolve?: ((host: string) => Promise<readonly Resolved[]>) | undefined;
}

export interface HostGuard {
  /** @throws SourceError when the host of a URL is an address, or a name, that is not allowed */
  readonly expectHost: (url: URL, isResolvedHere: boolean) => void;
  /** A lookup for connections to this URL that returns only allowed addresses. */
  readonly lookupFor: (url: URL) => LookupFunction;
}

const PORTS: ReadonlyMap<string, string> = new Map([
  ['https:', '443'],
  ['http:', '80'],
]);

const portOf = ({ port, protocol }: URL): string => port || (PORTS.get(protocol) ?? '');

const bare = (host: string): string => host.replace(/^\[|\]$/g, '');

/** The host of `https:`, `http:` and `oci:` URLs; undefined for buckets and organizations. */
function hostOf(uri: string): string | undefined {
  const plainly = uri.replace(/^oci:/i, 'https:');
  return /^https?:/i.test(plainly) && URL.canParse(plainly) ? new URL(plainly).hostname : undefined;
}

function refusal(url: URL, address: string): SourceError {
  const host = `${url.hostname}:${portOf(url)}`;
  const shown = address === bare(url.hostname) ? host : `${host} (${address})`;
  return new SourceError(
    `${shown}: is an address of this machine, a private network or a metadata service, from which artifacts are not loaded; to allow it, name it in artifactHosts of the environment (models.allowed_hosts for REST), or as --allow-host ${host}`,
  );
}

const resolveAll = (host: string): Promise<readonly Resolved[]> => resolveName(host, { all: true });

/** Makes the guard of one artifact. */
export function guardHosts({ allowHosts, named, resolve = resolveAll }: GuardOptions): HostGuard {
  const exact = allowHosts.filter((entry) => !entry.startsWith('*'));
  const byAuthor = new Set(named.map(hostOf));
  const mayReach = (url: URL, address: string): boolean => {
    const { hostname } = url;
    switch (addressKind(address) ?? 'never') {
      case 'public':
        return true;
      case 'inside':
        // The author wrote a name of the cluster or a private address, so it is intended.
        if (byAuthor.has(hostname) && hostKind(hostname) === 'inside') return true;
        return isListedHost(allowHosts, hostname, portOf(url));
      case 'loopback':
      case 'never':
        return isListedHost(exact, hostname, portOf(url));
    }
  };
  /** A proxy resolves names itself: only the name can be checked. */
  const mayName = (url: URL, isResolvedHere: boolean): boolean => {
    const kind = hostKind(url.hostname);
    if (kind === 'public' || (kind === 'inside' && isResolvedHere)) return true;
    return kind === 'inside'
      ? byAuthor.has(url.hostname) || isListedHost(allowHosts, url.hostname, portOf(url))
      : isListedHost(exact, url.hostname, portOf(url));
  };
  return {
    expectHost: (url, isResolvedHere) => {
      const host = bare(url.hostname);
      if (isIP(host) !== 0 ? mayReach(url, host) : mayName(url, isResolvedHere)) return;
      throw refusal(url, host);
    },
    lookupFor: (url) => (host, options, done) => {
      const answer = (all: readonly Resolved[]): void => {
        const fine = all.filter(({ address }) => mayReach(url, address));
        const [first] = fine;
        if (first === undefined) return done(refusal(url, all[0]?.address ?? host), '', 0);
        return options.all === true
          ? done(null, [...fine])
          : done(null, first.address, first.family);
      };
      resolve(host).then(answer, (error: Error) => done(error, '', 0));
    },
  };
}
