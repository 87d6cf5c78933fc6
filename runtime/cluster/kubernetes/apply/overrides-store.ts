import { MANAGER } from '../../../../lib/objects';
import type { KubeApi, KubeObject } from '../client/api';
import { textAt } from '../client/object-fields';
import type { OverridesState } from './overrides-state';
import { parseOverrides, overridesText } from './overrides-state';
import { retryOnConflict } from '../client/request-retry';
import { RESOURCES } from '../client/resources';

/** The ConfigMap of all overrides: one key per model slug. */
export const OVERRIDES_CONFIGMAP = `${MANAGER}-state`;

function overridesIn(object: KubeObject | undefined, slug: string): OverridesState {
  return parseOverrides(textAt(object, 'data', slug));
}

/** Computes the new overrides; throws to refuse. */
export type OverridesUpdate = (before: OverridesState) => OverridesState;

export interface OverridesStore {
  readonly read: (slug: string) => Promise<OverridesState>;
  /** Compare and swap: after a concurrent write `change` is called again. */
  readonly update: (slug: string, change: OverridesUpdate) => Promise<OverridesState>;
}

function missing(namespace: string, data: object): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: OVERRIDES_CONFIGMAP,
      namespace,
      labels: { 'app.kubernetes.io/part-of': MANAGER },
    },
    data,
  };
}

export function createOverridesStore(api: KubeApi, namespace: string): OverridesStore {
  const get = (): Promise<KubeObject | undefined> =>
    api.get(RESOURCES.ConfigMap, namespace, OVERRIDES_CONFIGMAP);
  /** Writes on the condition that the object is unchanged. */
  const write = (found: KubeObject | undefined, slug: string, text: string | undefined) => {
    const data = { [slug]: text ?? null };
    if (found === undefined) return api.create(missing(namespace, data), { manager: MANAGER });
    const { resourceVersion } = found.metadata;
    const patch = { metadata: { resourceVersion }, data };
    return api.patch(RESOURCES.ConfigMap, namespace, OVERRIDES_CONFIGMAP, patch, {
      manager: MANAGER,
    });
  };
  return {
    read: async (slug) => overridesIn(await get(), slug),
    update: (slug, change) =>
      retryOnConflict(async () => {
        const found = await get();
        const before = overridesIn(found, slug);
        const after = change(before);
        const text = overridesText(after);
        if (text !== overridesText(before)) await write(found, slug, text);
        return after;
      }),
  };
}
