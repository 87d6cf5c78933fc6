import { BlockList, isIP, isIPv6 } from 'node:net';

/** Whether the X-Forwarded-* headers from this address are trusted. */
export type IsTrustedProxy = (address: string) => boolean;

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** Addresses and networks (`10.0.0.0/8`) of proxies before us. IPv4 within IPv6 counts as IPv4. */
export function trustedProxiesOf(proxies: readonly string[]): IsTrustedProxy {
  // A lookup in an empty list costs as much as all other headers together.
  if (proxies.length === 0) return () => false;
  const list = new BlockList();
  for (const proxy of proxies) {
    const [address = '', prefix] = proxy.split('/');
    if (prefix === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (address) => {
    const plain = address.replace(/^::ffff:/, '');
    return plain !== '' && list.check(plain, familyOf(plain));
  };
}

/** Where a request comes from: the address before the proxies that are trusted. */
export function callerAddress(
  trust: IsTrustedProxy,
  {
    fields,
    remoteAddress,
  }: {
    readonly fields: { readonly get: (name: string) => string | undefined };
    readonly remoteAddress: string;
  },
): string {
  if (!trust(remoteAddress)) return remoteAddress;
  // The last address that is not a trusted proxy: the caller can forge those before it.
  const chain = (fields.get('x-forwarded-for') ?? '').split(',').map((one) => one.trim());
  const told = chain.findLast((one) => one !== '' && !trust(one)) ?? '';
  // A proxy may pass on any text. Copied: a slice would keep the whole head in memory.
  return isIP(told) === 0 ? remoteAddress : Buffer.from(told).toString();
}
