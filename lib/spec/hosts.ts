import { z } from 'zod';

// Kinds of hosts and addresses. The policy of REST applies them to names in definitions, the loader
// to the resolved addresses.

/**
 * `public`: the Internet. `inside`: a private network, such as the cluster's. `loopback`: this
 * machine. `never`: metadata services of clouds, link-local, multicast, unspecified.
 */
export type HostKind = 'public' | 'inside' | 'loopback' | 'never';

/** A host, `host:port`, or `*.domain`; IPv6 in brackets. */
export const artifactHostSchema = z
  .string()
  .max(255)
  .regex(
    /^(?:(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/,
    'host, host:port or *.domain in lower case; drop scheme and path',
  );

type Ipv4Range = readonly [network: string, bits: number, kind: HostKind];

// IANA special-purpose registry, and the metadata addresses that lie outside link-local.
const IPV4: readonly Ipv4Range[] = [
  ['0.0.0.0', 8, 'never'],
  ['169.254.0.0', 16, 'never'],
  // Metadata services: Azure, Alibaba, Oracle.
  ['168.63.129.16', 32, 'never'],
  ['100.100.100.200', 32, 'never'],
  ['192.0.0.192', 32, 'never'],
  ['224.0.0.0', 3, 'never'],
  ['127.0.0.0', 8, 'loopback'],
  ['10.0.0.0', 8, 'inside'],
  ['100.64.0.0', 10, 'inside'],
  ['172.16.0.0', 12, 'inside'],
  ['192.0.0.0', 24, 'inside'],
  ['192.168.0.0', 16, 'inside'],
  ['198.18.0.0', 15, 'inside'],
];

function ipv4Number(text: string): number | undefined {
  const parts = text.split('.');
  const isPlain = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part));
  return isPlain ? parts.reduce((sum, part) => sum * 256 + Number(part), 0) : undefined;
}

function ipv4Kind(address: number): HostKind {
  const found = IPV4.find(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor((ipv4Number(network) ?? 0) / size);
  });
  return found?.[2] ?? 'public';
}

/** The eight groups of an address; the last two may be written as IPv4. */
export function ipv6Groups(text: string): readonly number[] | undefined {
  const [, front = text, v4] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [];
  const number = v4 === undefined ? undefined : ipv4Number(v4);
  const plain =
    number === undefined
      ? text
      : `${front}${Math.floor(number / 65_536).toString(16)}:${(number % 65_536).toString(16)}`;
  const halves = plain.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail = []] = halves;
  const missing = halves.length === 2 ? 8 - head.length - tail.length : 0;
  const all = [...head, ...Array<string>(Math.max(0, missing)).fill('0'), ...tail];
  const isPlain = all.length === 8 && all.every((group) => /^[0-9a-f]{1,4}$/i.test(group));
  return isPlain ? all.map((group) => Number.parseInt(group, 16)) : undefined;
}

type Ipv6Range = readonly [groups: readonly number[], bits: number, kind: HostKind];

const IPV6: readonly Ipv6Range[] = [
  [[0, 0, 0, 0, 0, 0, 0, 0], 128, 'never'],
  [[0, 0, 0, 0, 0, 0, 0, 1], 128, 'loopback'],
  // Metadata services: EC2, Google, Oracle, Scaleway.
  [[0xfd00, 0x0ec2], 32, 'never'],
  [[0xfd20, 0x00ce], 32, 'never'],
  [[0xfd00, 0x00c1], 32, 'never'],
  [[0xfd00, 0x0042], 32, 'never'],
  [[0xfe80], 10, 'never'],
  [[0xfec0], 10, 'never'],
  [[0xff00], 8, 'never'],
  [[0xfc00], 7, 'inside'],
  // Translated by a local gateway (RFC 8215), or tunnelled past it (Teredo).
  [[0x0064, 0xff9b, 1], 48, 'inside'],
  [[0x2001, 0], 32, 'inside'],
];

function isInRange(groups: readonly number[], [network, bits]: Ipv6Range): boolean {
  return groups.every((group, index) => {
    const left = Math.min(16, Math.max(0, bits - index * 16));
    const shift = 16 - left;
    return left === 0 || group >> shift === (network[index] ?? 0) >> shift;
  });
}

/** Blocks that embed an IPv4 address: the group at which it begins. */
const EMBEDDED: readonly (readonly [prefix: readonly number[], at: number])[] = [
  [[0, 0, 0, 0, 0, 0xffff], 6],
  [[0, 0, 0, 0, 0, 0], 6],
  [[0, 0, 0, 0, 0xffff, 0], 6],
  [[0x64, 0xff9b], 6],
  [[0x2002], 1],
];

function ipv6Kind(groups: readonly number[]): HostKind {
  const found = IPV6.find((range) => isInRange(groups, range));
  const isEmbedded = ([prefix]: readonly [readonly number[], number]): boolean =>
    prefix.every((group, index) => groups[index] === group);
  const at = EMBEDDED.find(isEmbedded)?.[1];
  if (found !== undefined && found[2] !== 'inside') return found[2];
  const embedded =
    at === undefined ? 'public' : ipv4Kind((groups[at] ?? 0) * 65_536 + (groups[at + 1] ?? 0));
  return embedded === 'public' ? (found?.[2] ?? 'public') : embedded;
}

/** The kind of an IP address, without brackets; undefined when the text is not an address. */
export function addressKind(address: string): HostKind | undefined {
  const [plain = ''] = address.split('%');
  const number = ipv4Number(plain);
  if (number !== undefined) return ipv4Kind(number);
  const groups = plain.includes(':') ? ipv6Groups(plain) : undefined;
  if (groups !== undefined) return ipv6Kind(groups);
  return plain.includes(':') ? 'never' : undefined;
}

const LOOPBACK_NAMES = /^(?:(?:.*\.)?localhost|localhost\.localdomain|ip6-(?:localhost|loopback))$/;
/** Metadata services by name. Other names that resolve to one are refused by their address. */
const NEVER_NAMES =
  /^(?:metadata|instance-data|metadata\.(?:goog|google\.internal|tencentyun\.com|azure\.internal)|instance-data\.ec2\.internal)$/;
/** Services that resolve to the address in the name; used to reach private addresses. */
const ECHO_NAMES =
  /(?:^|\.)(?:nip\.io|sslip\.io|xip\.io|traefik\.me|localtest\.me|lvh\.me|vcap\.me|lacolhost\.com)$/;
/**
 * Suffixes that no public resolver serves (RFC 6761, 6762, 8375, and usual names of clusters and
 * sites).
 */
const INSIDE_NAMES =
  /\.(?:svc|cluster\.local|local|internal|intranet|private|corp|home|lan|localdomain|home\.arpa|consul|test|invalid|onion)$/;

/** The kind of a host as the URL standard writes it: lower case, IPv6 in brackets. */
export function hostKind(hostname: string): HostKind {
  const host = hostname.toLowerCase().replace(/\.+$/, '');
  if (host === '' || NEVER_NAMES.test(host)) return 'never';
  if (LOOPBACK_NAMES.test(host)) return 'loopback';
  const address = addressKind(host.replace(/^\[|\]$/g, ''));
  if (address !== undefined) return address;
  // The resolver of the pod completes a name of one label.
  const isInside = !host.includes('.') || INSIDE_NAMES.test(host) || ECHO_NAMES.test(host);
  return isInside ? 'inside' : 'public';
}

/** Whether an entry names the host. `*.domain` means hosts below it, and never an address. */
export function isListedHost(entries: readonly string[], hostname: string, port: string): boolean {
  const host = hostname.toLowerCase().replace(/\.+$/, '');
  return entries.some((entry) => {
    const wanted = entry.toLowerCase();
    if (wanted.startsWith('*.')) return host.endsWith(wanted.slice(1));
    return wanted === host || wanted === `${host}:${port}`;
  });
}
