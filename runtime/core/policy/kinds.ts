import { annotationsCheck } from './annotations';
import type { PolicyContext } from './context';
import {
  ARM_LABEL,
  armOfName,
  DEFINITION_KEY,
  DEFINITION_LABEL,
  isOwnName,
  MODEL_LABEL,
} from './context';
import { podTemplate, pullSecrets } from './pod';
import type { Check, Place, Plain, Violation } from './shape';
import { any, below, both, fields, listOf, mapWith, oneOf, plain, violation } from './shape';

/** One object, and whom it belongs to. */
interface Subject {
  readonly context: PolicyContext;
  readonly name: string;
  readonly arm: string | undefined;
}

interface Kind {
  readonly apiVersion: string;
  /** The names that `objectsOf` gives, as a pattern; `%` is the slug. 'arm': those of the arms. */
  readonly names: string;
  readonly body: (subject: Subject) => Readonly<Record<string, Check>>;
  readonly required?: readonly string[];
}

const ofModel = ({ context }: Subject): Check => mapWith({ [MODEL_LABEL]: context.spec.slug });

/** Selects this model and perhaps one arm: whatever else it says makes it only narrower. */
const selector = (subject: Subject): Check =>
  fields({ matchLabels: ofModel(subject) }, ['matchLabels']);

const body = (table: Readonly<Record<string, Check>>, ...required: readonly string[]) => ({
  spec: fields(table, required),
});

const DATA = { data: any, binaryData: any, immutable: any };

const ALERT = fields(
  { alert: any, expr: any, for: any, keep_firing_for: any, labels: any, annotations: any },
  ['alert'],
);

// Without tokens, proxies and relabelling: Prometheus has rights that a model has not.
const ENDPOINT = fields({ port: any, path: any, interval: any, scrapeTimeout: any, scheme: any });

const PORT = fields({ name: any, port: any, targetPort: any, protocol: any, appProtocol: any });

const deployment = (subject: Subject): Readonly<Record<string, Check>> => {
  const { context, arm } = subject;
  const owner = { [MODEL_LABEL]: context.spec.slug, [ARM_LABEL]: arm ?? '' };
  return body(
    {
      selector: fields({ matchLabels: mapWith(owner) }, ['matchLabels']),
      strategy: any,
      minReadySeconds: any,
      revisionHistoryLimit: any,
      progressDeadlineSeconds: any,
      paused: any,
      template: podTemplate(context, arm),
    },
    'selector',
    'template',
  );
};

const HASHED = '[0-9a-f]{8}';

const KINDS: Readonly<Record<string, Kind>> = {
  ConfigMap: {
    apiVersion: 'v1',
    names: `%--(?:model|artifact-${HASHED}|server-${HASHED})`,
    body: () => DATA,
  },
  Deployment: { apiVersion: 'apps/v1', names: 'arm', body: deployment, required: ['spec'] },
  HorizontalPodAutoscaler: {
    apiVersion: 'autoscaling/v2',
    names: 'arm',
    body: ({ name }) =>
      body(
        {
          scaleTargetRef: fields(
            { apiVersion: oneOf('apps/v1'), kind: oneOf('Deployment'), name: oneOf(name) },
            ['kind', 'name'],
          ),
          minReplicas: any,
          maxReplicas: any,
          metrics: any,
          behavior: any,
        },
        'scaleTargetRef',
      ),
    required: ['spec'],
  },
  PodDisruptionBudget: {
    apiVersion: 'policy/v1',
    names: 'arm',
    body: (subject) =>
      body(
        {
          selector: selector(subject),
          minAvailable: any,
          maxUnavailable: any,
          unhealthyPodEvictionPolicy: any,
        },
        'selector',
      ),
    required: ['spec'],
  },
  Service: {
    apiVersion: 'v1',
    names: '%',
    // Neither outside addresses nor ports of nodes; traffic of others cannot be drawn here.
    body: (subject) =>
      body(
        {
          selector: ofModel(subject),
          ports: listOf(PORT),
          type: oneOf('ClusterIP'),
          clusterIP: oneOf('None', ''),
          sessionAffinity: any,
          internalTrafficPolicy: any,
          ipFamilies: any,
          ipFamilyPolicy: any,
          publishNotReadyAddresses: any,
          trafficDistribution: any,
        },
        'selector',
      ),
    required: ['spec'],
  },
  NetworkPolicy: {
    apiVersion: 'networking.k8s.io/v1',
    names: '%',
    body: (subject) =>
      body(
        { podSelector: selector(subject), policyTypes: any, ingress: any, egress: any },
        'podSelector',
      ),
    required: ['spec'],
  },
  ServiceAccount: {
    apiVersion: 'v1',
    names: '%',
    body: ({ context }) => ({
      automountServiceAccountToken: oneOf(false),
      imagePullSecrets: pullSecrets(context),
    }),
    required: ['automountServiceAccountToken'],
  },
  PersistentVolumeClaim: {
    apiVersion: 'v1',
    names: '%--cache',
    // Neither a volume of somebody else nor a copy of one.
    body: () =>
      body({
        accessModes: any,
        resources: fields({ requests: any, limits: any }),
        storageClassName: any,
        volumeMode: oneOf('Filesystem'),
      }),
  },
  Job: {
    apiVersion: 'batch/v1',
    names: `%--cache-${HASHED}`,
    body: ({ context }) =>
      body(
        {
          template: podTemplate(context, undefined),
          backoffLimit: any,
          activeDeadlineSeconds: any,
          ttlSecondsAfterFinished: any,
          completions: any,
          parallelism: any,
          suspend: any,
        },
        'template',
      ),
    required: ['spec'],
  },
  PodMonitor: {
    apiVersion: 'monitoring.coreos.com/v1',
    names: '%',
    body: (subject) =>
      body(
        {
          selector: selector(subject),
          podTargetLabels: any,
          podMetricsEndpoints: listOf(ENDPOINT),
          sampleLimit: any,
        },
        'selector',
      ),
    required: ['spec'],
  },
  PrometheusRule: {
    apiVersion: 'monitoring.coreos.com/v1',
    names: '%',
    // Alerts only: a recording rule could write what others read.
    body: () =>
      body({ groups: listOf(fields({ name: any, interval: any, rules: listOf(ALERT) })) }),
  },
};

function hasName({ names }: Kind, { context, name, arm }: Subject): boolean {
  if (isOwnName(context, name)) return false;
  if (names === 'arm') return arm !== undefined;
  return new RegExp(`^${names.replaceAll('%', context.spec.slug)}$`).test(name);
}

/** Neither owners nor finalizers: they would make others' deletions ours, and ours last for ever. */
function metadataCheck(subject: Subject, kind: string): Check {
  const { context, name, arm } = subject;
  const isDefinition = kind === 'ConfigMap' && name === `${context.spec.slug}--model`;
  const owner = { [MODEL_LABEL]: context.spec.slug };
  const registered: Check = (value, at) =>
    isDefinition || plain(value)[DEFINITION_LABEL] === undefined
      ? []
      : violation(
          below(at, DEFINITION_LABEL),
          plain(value)[DEFINITION_LABEL],
          'absent',
          'remove it',
        );
  const armed: Check = (value, at) =>
    [undefined, arm].includes(plain(value)[ARM_LABEL] as string | undefined)
      ? []
      : violation(below(at, ARM_LABEL), plain(value)[ARM_LABEL], arm ?? 'absent', 'correct it');
  return fields(
    {
      name: any,
      namespace: oneOf(context.namespace),
      labels: both(mapWith(owner), registered, armed),
      annotations: annotationsCheck(context),
    },
    ['name', 'namespace', 'labels'],
  );
}

/** What is stored as a model's definition must be that model's: the runtime believes it. */
function storedDefinition({ context, name }: Subject, object: Plain, at: Place) {
  const { slug } = context.spec;
  if (name !== `${slug}--model`) return [];
  const data = plain(object['data']);
  const place = below(below(at, 'data'), DEFINITION_KEY);
  const extra = Object.keys(data).filter((key) => key !== DEFINITION_KEY);
  const id = storedId(data[DEFINITION_KEY]);
  const same = id?.replaceAll('_', '-') === slug;
  return [
    ...extra.flatMap((key) =>
      violation(below(below(at, 'data'), key), key, `only ${DEFINITION_KEY}`, 'remove it'),
    ),
    ...(same ? [] : violation(place, id, `the definition of ${slug}`, 'leave it as it is')),
  ];
}

function storedId(text: unknown): string | undefined {
  try {
    const { model_id: id } = plain(JSON.parse(String(text)) as unknown);
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

/** Everything about one finished object that a model must not have. */
export function objectViolations(context: PolicyContext, object: unknown): readonly Violation[] {
  const all = plain(object);
  const kind = typeof all['kind'] === 'string' ? all['kind'] : '?';
  const given = plain(all['metadata'])['name'];
  const name = typeof given === 'string' ? given : '?';
  const at: Place = { object: `${kind}/${name}`, path: '' };
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (known === undefined) {
    const kinds = `one of ${Object.keys(KINDS).join(', ')}`;
    return violation(below(at, 'kind'), kind, kinds, 'a model has no other objects');
  }
  const subject: Subject = {
    context,
    name,
    arm: known.names === 'arm' ? armOfName(context, name) : undefined,
  };
  const shape = fields(
    {
      apiVersion: oneOf(known.apiVersion),
      kind: any,
      metadata: metadataCheck(subject, kind),
      ...known.body(subject),
    },
    ['apiVersion', 'metadata', ...(known.required ?? [])],
  );
  const named = hasName(known, subject)
    ? []
    : violation(
        below(below(at, 'metadata'), 'name'),
        name,
        `a name of ${context.spec.slug}`,
        'leave it as it is',
      );
  const stored = kind === 'ConfigMap' ? storedDefinition(subject, all, at) : [];
  return [...named, ...shape(all, at), ...stored];
}
