import type { Arm } from '../../../lib/spec';
import { armPath, fault } from '../../../lib/spec';
import { hostKind, isListedHost } from '../../../lib/spec/hosts';
import { isFromOneOf, withRegistry } from '../../../lib/spec/images';
import type { PolicyRule, Violation } from './context';
import { isServiceName } from './context';

/** Schemes whose authority is an HTTP host, and their default ports. */
const PORTS: ReadonlyMap<string, string> = new Map([
  ['https', '443'],
  ['http', '80'],
  ['oci', '443'],
]);

interface HostTrouble {
  readonly got: string;
  readonly allowed: string;
  readonly fix: string;
}

const STORE = 'put the artifact into a store and name that';

/** Hosts that no allow-list opens, and hosts that only an allow-list opens. */
function kindTrouble(host: string, isListed: boolean): HostTrouble | undefined {
  const kind = hostKind(host);
  if (kind === 'public' || (isListed && kind !== 'never')) return undefined;
  if (kind === 'never')
    return { got: host, allowed: 'a host that is not a metadata service', fix: STORE };
  const allowed = 'a public host, or one of models.allowed_hosts';
  return { got: host, allowed, fix: `${STORE}, or have models.allowed_hosts extended` };
}

/** An authority that two parsers could read differently is refused first. */
function authorityTrouble(authority: string): HostTrouble | undefined {
  const isPlain = authority !== '' && !/[\\@%\s]/.test(authority);
  if (isPlain && URL.canParse(`https://${authority}`)) return undefined;
  const allowed = 'host or host:port, without user, escapes and blanks';
  return { got: authority.replace(/^.*@/s, '…@'), allowed, fix: 'write the host plainly' };
}

/** Undefined when artifacts may be loaded from there. */
function hostTrouble(uri: string, entries: readonly string[] | undefined) {
  const [, scheme = '', authority = ''] =
    /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?/i.exec(uri) ?? [];
  const usual = PORTS.get(scheme.toLowerCase());
  if (usual === undefined) return undefined;
  const unclear = authorityTrouble(authority);
  if (unclear !== undefined) return unclear;
  const { hostname, port: given } = new URL(`https://${authority}`);
  const host = hostname.replace(/\.+$/, '');
  const isListed = isListedHost(entries ?? [], host, given === '' ? usual : given);
  const trouble = kindTrouble(host, isListed);
  if (trouble !== undefined || entries === undefined || isListed) return trouble;
  const allowed = entries.length === 0 ? 'no host at all' : `one of ${entries.join(', ')}`;
  return { got: host, allowed, fix: 'move the artifact, or have models.allowed_hosts extended' };
}

/** URIs and endpoints of an arm's artifact. */
function urisOf({ source }: Arm): readonly (readonly [field: string, uri: string])[] {
  return [
    ['source', source?.uri ?? ''],
    ['source.endpoint', source?.endpoint ?? ''],
  ];
}

const hosts: PolicyRule = ({ spec, rules }) =>
  spec.arms.flatMap((arm) =>
    urisOf(arm).flatMap(([field, uri]): readonly Violation[] => {
      const trouble = hostTrouble(uri, rules.hosts);
      if (trouble === undefined) return [];
      const { got, allowed, fix } = trouble;
      const id = JSON.stringify(['host', field, got]);
      return [{ id, fault: fault(armPath(spec, arm, field), got, allowed, fix) }];
    }),
  );

/** Images of the environment are always allowed. */
const images: PolicyRule = ({ spec, rules: { registries }, environment }) => {
  if (registries === undefined) return [];
  const trusted: readonly string[] = Object.values(environment.images);
  const allowed = `from ${registries.join(', ') || 'no registry'} (models.allowed_registries)`;
  const fix = 'push it there, or have models.allowed_registries extended';
  return spec.arms.flatMap((arm) => {
    const field = arm.image === undefined ? 'server.image' : 'image';
    const image = arm.image ?? arm.server.image;
    if (image === undefined || trusted.includes(image)) return [];
    const pulled = withRegistry(image, environment.registry);
    if (isFromOneOf(pulled, registries)) return [];
    const id = JSON.stringify(['image', image]);
    return [{ id, fault: fault(armPath(spec, arm, field), pulled, allowed, fix) }];
  });
};

/** A model of this name would get the names of the service’s own objects. */
const names: PolicyRule = ({ spec }) =>
  isServiceName(spec.slug)
    ? [
        {
          id: 'id',
          fault: fault('id', spec.id, 'a name other than the service’s own', 'rename it'),
        },
      ]
    : [];

export const SOURCE_RULES: readonly PolicyRule[] = [hosts, images, names];
