import type { k8s } from 'cdk8s-plus-28';
import type { Environment, ModelSpec, Source } from '../spec';
import { slugOf } from '../spec';
import type { Context } from './context';
import { nameHash } from './context';
import { fetchContainer } from './fetch';
import type { KubeObject, Plain } from './kube';
import { kubeObject } from './kube';
import { labelsOf, metadataOf } from './labels';
import type { Layout } from './layout';
import { layoutOf } from './layout';
import { podSecurity, RUNTIME_UID } from './security';

/** Schemes that are loaded over the network; files travel by ConfigMap, claims are already there. */
export function isRemote({ scheme }: Source): boolean {
  return scheme !== 'file' && scheme !== 'pvc';
}

export function isCached({ cache }: ModelSpec, source: Source): boolean {
  return cache !== undefined && isRemote(source);
}

export function cacheName({ id }: ModelSpec): string {
  return `${slugOf(id)}--cache`;
}

/** Folder of a source on the claim, so that arms and versions do not meet. */
export function cacheFolder({ uri, sha256 }: Source, { folder, file }: Layout): string {
  return nameHash({ uri, sha256, folder, file });
}

/** The loader streams to the claim and needs little other disk space. */
const LOADER_TMP_LIMIT = '1Gi';

/** Download failures are mostly transient; each retry resumes. */
const RETRIES = 6;

function claim(context: Context, size: string, storageClass: string | undefined): KubeObject {
  return kubeObject('PersistentVolumeClaim', metadataOf(context, cacheName(context.spec)), {
    spec: {
      // The Job and the replicas run on different nodes. `overrides` can say ReadWriteOnce for one
      // node.
      accessModes: ['ReadWriteMany'],
      resources: { requests: { storage: size } },
      ...(storageClass !== undefined && { storageClassName: storageClass }),
    },
  });
}

const LABELS = { 'app.kubernetes.io/component': 'model-cache' };

function loaderTemplate(context: Context, source: Source, layout: Layout) {
  const { spec, environment } = context;
  const subPath = cacheFolder(source, layout);
  const mounts = [{ name: 'model', mountPath: layout.mount, subPath }];
  const fetch = fetchContainer(environment, { name: 'artifact', source, layout, mounts });
  const template: Plain<k8s.PodTemplateSpec> = {
    metadata: { labels: { ...labelsOf(spec), ...LABELS } },
    spec: {
      restartPolicy: 'OnFailure',
      serviceAccountName: spec.slug,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...podSecurity(environment, RUNTIME_UID),
      ...pullSecrets(environment),
      containers: [fetch.container],
      volumes: [
        { name: 'tmp', emptyDir: { sizeLimit: LOADER_TMP_LIMIT } },
        { name: 'model', persistentVolumeClaim: { claimName: cacheName(spec) } },
        ...fetch.volumes,
      ],
    },
  };
  return template;
}

/** A Job's template is immutable: a changed one is a new Job, so its name carries the hash. */
function loader(context: Context, source: Source, layout: Layout): KubeObject {
  const template = loaderTemplate(context, source, layout);
  const name = `${cacheName(context.spec)}-${nameHash({ template })}`;
  return kubeObject('Job', metadataOf(context, name, undefined, { labels: LABELS }), {
    spec: { backoffLimit: RETRIES, template },
  });
}

export function pullSecrets({ imagePullSecrets }: Environment): {
  readonly imagePullSecrets?: readonly { readonly name: string }[];
} {
  return imagePullSecrets.length === 0
    ? {}
    : { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) };
}

/** The claim and one Job for each different source. */
export function cacheObjects(context: Context): readonly KubeObject[] {
  const { spec } = context;
  const { cache } = spec;
  const jobs = spec.arms.flatMap((arm) =>
    arm.source === undefined || !isCached(spec, arm.source)
      ? []
      : [loader(context, arm.source, layoutOf(spec, arm))],
  );
  if (cache === undefined || jobs.length === 0) return [];
  const different = new Map(jobs.map((job) => [job.metadata.name, job]));
  return [claim(context, cache.size, cache.storageClass), ...different.values()];
}
