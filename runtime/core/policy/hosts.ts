// Where an artifact must never be loaded from: addresses that mean the machine itself or the
// metadata service of a cloud, however they are spelled.

type Range = readonly [network: string, bits: number];

const IPV4: readonly Range[] = [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  // Metadata services outside the link-local block: Azure, Alibaba, Oracle.
  ['168.63.129.16', 32],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
];

/** Names that lead there without a resolver knowing better. */
const NAMES =
  /^(?:localhost|.*\.localhost|localhost\.localdomain|ip6-localhost|ip6-loopback|metadata|metadata\.goog|metadata\.google\.internal|instance-data|instance-data\.ec2\.internal)$/;

function ipv4Number(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part))) return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

function isForbiddenIpv4(address: number): boolean {
  return IPV4.some(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor((ipv4Number(network) ?? 0) / size);
  });
}

/** The eight groups of an address as the URL standard writes it. */
function ipv6Groups(text: string): readonly number[] | undefined {
  const halves = text.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail = []] = halves;
  const missing = halves.length === 2 ? 8 - head.length - tail.length : 0;
  const all = [...head, ...Array<string>(Math.max(0, missing)).fill('0'), ...tail];
  const groups = all.map((group) => Number.parseInt(group, 16));
  return groups.length === 8 && groups.every((one) => one >= 0 && one <= 0xffff)
    ? groups
    : undefined;
}

/** Blocks in which an IPv4 address stands: where it begins, in groups. */
const EMBEDDED: readonly (readonly [prefix: readonly number[], at: number])[] = [
  [[0, 0, 0, 0, 0, 0xffff], 6],
  [[0, 0, 0, 0, 0, 0], 6],
  [[0, 0, 0, 0, 0xffff, 0], 6],
  [[0x64, 0xff9b], 6],
  [[0x2002], 1],
];

function isForbiddenIpv6(groups: readonly number[]): boolean {
  const [first = 0, second = 0] = groups;
  // fe80::/10 link-local, ff00::/8 multicast, fd00:ec2::254 the metadata service of EC2.
  if ((first & 0xffc0) === 0xfe80 || (first & 0xff00) === 0xff00) return true;
  if (first === 0xfd00 && second === 0xec2) return true;
  return EMBEDDED.some(([prefix, at]) => {
    if (!prefix.every((group, index) => groups[index] === group)) return false;
    return isForbiddenIpv4((groups[at] ?? 0) * 65_536 + (groups[at + 1] ?? 0));
  });
}

/** `host` as the URL standard writes it: lower case, numbers as addresses, IPv6 in brackets. */
export function isForbiddenHost(host: string): boolean {
  const name = host.replace(/\.+$/, '');
  if (name === '' || NAMES.test(name)) return true;
  if (name.startsWith('[')) {
    const groups = ipv6Groups(name.slice(1, -1));
    return groups === undefined || isForbiddenIpv6(groups);
  }
  const number = ipv4Number(name);
  return number !== undefined && isForbiddenIpv4(number);
}

/** An entry is a host, `host:port`, or `*.domain`. */
function fits(entry: string, host: string, port: string): boolean {
  const wanted = entry.toLowerCase();
  if (wanted.startsWith('*.')) return host.endsWith(wanted.slice(1));
  return wanted === host || wanted === `${host}:${port}`;
}

export interface HostTrouble {
  readonly got: string;
  readonly allowed: string;
  readonly fix: string;
}

/** Schemes whose authority is a host that is asked by HTTP, and their usual ports. */
const PORTS: Readonly<Record<string, string>> = { https: '443', http: '80', oci: '443' };

/**
 * Buckets and organizations become a part of a host or of a path: with a `#` in it,
 * `s3://127.0.0.1#/x` would be asked at 127.0.0.1.
 */
const NAMED: ReadonlySet<string> = new Set(['s3', 'gs', 'hf']);
const PLAIN_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

function nameTrouble(rest: string): HostTrouble | undefined {
  const name = /^\/\/([^/]*)/.exec(rest)?.[1] ?? '';
  if (PLAIN_NAME.test(name)) return undefined;
  return { got: name, allowed: 'a name of letters, digits, . _ -', fix: 'write the name plainly' };
}

const ADDRESS = 'a host that is neither this machine nor a metadata service';

/** Undefined when artifacts may be loaded from there. */
export function hostTrouble(
  uri: string,
  allowedHosts: readonly string[] | undefined,
): HostTrouble | undefined {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(uri) ?? [];
  if (NAMED.has(scheme.toLowerCase())) return nameTrouble(rest);
  const usual = PORTS[scheme.toLowerCase()];
  if (usual === undefined) return undefined;
  const authority = /^\/\/([^/?#]*)/.exec(rest)?.[1] ?? '';
  // What two parsers could take apart in two ways is refused before it is looked at.
  if (authority === '' || /[\\@%\s]/.test(authority)) {
    const allowed = 'host or host:port, without user, escapes and blanks';
    return { got: authority.replace(/^.*@/s, '…@'), allowed, fix: 'write the host plainly' };
  }
  const plainly = `https:${rest}`;
  if (!URL.canParse(plainly)) return { got: authority, allowed: ADDRESS, fix: 'correct the URI' };
  const parsed = new URL(plainly);
  const host = parsed.hostname.replace(/\.+$/, '');
  if (isForbiddenHost(host)) {
    return { got: host, allowed: ADDRESS, fix: 'put the artifact into a store and name that' };
  }
  const port = parsed.port === '' ? usual : parsed.port;
  if (allowedHosts === undefined || allowedHosts.some((entry) => fits(entry, host, port))) {
    return undefined;
  }
  const allowed =
    allowedHosts.length === 0 ? 'no host at all' : `one of ${allowedHosts.join(', ')}`;
  return { got: host, allowed, fix: 'move the artifact, or have models.allowed_hosts extended' };
}
