import { at } from './manifests';

/** Volume types the restricted profile allows. */
const VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const SECCOMP = new Set(['RuntimeDefault', 'Localhost']);

type Plain = Readonly<Record<string, unknown>>;

const list = (value: unknown): readonly Plain[] => (value as readonly Plain[] | undefined) ?? [];

function containerFaults(container: Plain, pod: Plain): readonly string[] {
  const own = (field: string): unknown => at(container, `securityContext.${field}`);
  const either = (field: string): unknown => own(field) ?? at(pod, `securityContext.${field}`);
  const name = String(container['name']);
  const added = list(own('capabilities.add')).map(String);
  const dropped = list(own('capabilities.drop')).map(String);
  return [
    own('allowPrivilegeEscalation') === false ? '' : 'allowPrivilegeEscalation must be false',
    dropped.includes('ALL') ? '' : 'capabilities must drop ALL',
    added.every((one) => one === 'NET_BIND_SERVICE') ? '' : `capabilities added: ${added.join()}`,
    either('runAsNonRoot') === true ? '' : 'runAsNonRoot must be true',
    either('runAsUser') === 0 ? 'runAsUser must not be 0' : '',
    SECCOMP.has(String(either('seccompProfile.type'))) ? '' : 'seccompProfile is missing',
    own('privileged') === true ? 'privileged' : '',
    [undefined, 'Default'].includes(own('procMount') as string) ? '' : 'procMount',
    own('windowsOptions.hostProcess') === true ? 'hostProcess' : '',
    own('seLinuxOptions.user') === undefined ? '' : 'seLinuxOptions.user',
    list(container['ports']).some(({ hostPort }) => hostPort !== undefined) ? 'hostPort' : '',
  ]
    .filter((fault) => fault !== '')
    .map((fault) => `${name}: ${fault}`);
}

function volumeFaults(volume: Plain): readonly string[] {
  return Object.keys(volume)
    .filter((key) => key !== 'name' && !VOLUMES.has(key))
    .map((key) => `volume ${String(volume['name'])}: ${key}`);
}

/**
 * What the `restricted` profile of Pod Security Standards refuses in a pod spec (all of its
 * controls and those of `baseline`), written from the standard, so that no cluster is needed.
 */
export function restrictedFaults(pod: Plain): readonly string[] {
  const hosts = ['hostNetwork', 'hostPID', 'hostIPC'].filter((field) => pod[field] === true);
  const sysctls = list(at(pod, 'securityContext.sysctls')).map(() => 'sysctls');
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((field) =>
    list(pod[field]),
  );
  return [
    ...hosts,
    ...sysctls,
    ...(at(pod, 'securityContext.runAsUser') === 0 ? ['runAsUser must not be 0'] : []),
    ...list(pod['volumes']).flatMap(volumeFaults),
    ...containers.flatMap((container) => containerFaults(container, pod)),
  ];
}
