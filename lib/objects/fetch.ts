import type { k8s } from 'cdk8s-plus-28';
import type { Environment, Source } from '../spec';
import { FETCH_REQUESTS } from '../spec';
import { runtimeImage } from './image';
import type { Plain } from './kube';
import type { Layout } from './layout';
import { isArchive } from './layout';
import { containerSecurity, RUNTIME_IDENTITY } from './security';

type Mount = Plain<k8s.VolumeMount>;

/** A container that loads an artifact: `ai-model-service fetch`. */
export interface Fetch {
  readonly name: string;
  readonly source: Source;
  readonly layout: Layout;
  readonly mounts: readonly Mount[];
  /** Load nothing; wait at most this long until another pod has stored the artifact. */
  readonly waitSeconds?: number;
}

const CA_VOLUME = 'artifact-ca';
const CA_FOLDER = '/etc/ai-model-service/ca';

function fetchArgs(
  { source, layout, waitSeconds }: Fetch,
  { artifactHosts }: Environment,
): string[] {
  const { uri, sha256, endpoint, ca } = source;
  const flag = (name: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [`--${name}`, String(value)];
  const unpack = isArchive(uri);
  return [
    'fetch',
    uri,
    ...flag('to', layout.folder),
    ...(unpack ? ['--unpack'] : flag('as', layout.file)),
    ...flag('sha256', sha256),
    ...flag('endpoint', endpoint),
    ...flag('ca', ca === undefined ? undefined : `${CA_FOLDER}/ca.crt`),
    ...artifactHosts.flatMap((host) => flag('allow-host', host)),
    ...flag('wait', waitSeconds),
  ];
}

/** The container and the volumes that it needs in addition. */
export function fetchContainer(
  environment: Environment,
  fetch: Fetch,
): { readonly container: Plain<k8s.Container>; readonly volumes: readonly Plain<k8s.Volume>[] } {
  const { source, mounts, name } = fetch;
  const caMount: Mount = { name: CA_VOLUME, mountPath: CA_FOLDER, readOnly: true };
  const container: Plain<k8s.Container> = {
    name,
    image: runtimeImage(environment),
    command: ['ai-model-service'],
    args: fetchArgs(fetch, environment),
    ...(source.credentials && {
      envFrom: [{ secretRef: { name: source.credentials.secret } }],
    }),
    resources: {
      requests: { ...FETCH_REQUESTS, 'ephemeral-storage': '256Mi' },
      limits: { memory: FETCH_REQUESTS.memory },
    },
    ...containerSecurity(environment, RUNTIME_IDENTITY),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'tmp', mountPath: '/tmp' },
      ...mounts,
      ...(source.ca === undefined ? [] : [caMount]),
    ],
  };
  const caVolume = (secretName: string): Plain<k8s.Volume> => ({
    name: CA_VOLUME,
    secret: { secretName, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
  });
  return { container, volumes: source.ca === undefined ? [] : [caVolume(source.ca)] };
}
