import { MANAGER } from '../../../../lib/objects';
import type { KubeApi, KubeObject } from '../client/api';
import { KubeError } from '../client/api-error';
import { textAt } from '../client/object-fields';
import type { Remembered } from './overrides-state';
import { parseRemembered, rememberedText } from './overrides-state';
import { isRace } from './apply-refusal';
import { RESOURCES } from '../client/resources';

/** The one ConfigMap that holds what is remembered: a key for each model's slug. */
export const STATE_NAME = `${MANAGER}-state`;

/** Each lost race means that somebody else's write was taken: ten in a row are a defect. */
const TRIES = 10;

export function rememberedIn(object: KubeObject | undefined, slug: string): Remembered {
  return parseRemembered(textAt(object, 'data', slug));
}

/** What becomes of what is remembered; may refuse by throwing. */
export type Rewrite = (before: Remembered) => Remembered;

export interface States {
  readonly read: (slug: string) => Promise<Remembered>;
  /** Nobody's write in between is lost: the rewrite is asked again then. */
  readonly rewrite: (slug: string, change: Rewrite) => Promise<Remembered>;
}

function missing(namespace: string, data: object): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: STATE_NAME, namespace, labels: { 'app.kubernetes.io/part-of': MANAGER } },
    data,
  };
}

export function createStates(api: KubeApi, namespace: string): States {
  const get = (): Promise<KubeObject | undefined> =>
    api.get(RESOURCES.ConfigMap, namespace, STATE_NAME);
  /** Writes on the condition that the object is still as it was seen. */
  const write = (found: KubeObject | undefined, slug: string, text: string | undefined) => {
    const data = { [slug]: text ?? null };
    if (found === undefined) return api.create(missing(namespace, data), { manager: MANAGER });
    const { resourceVersion } = found.metadata;
    const patch = { metadata: { resourceVersion }, data };
    return api.patch(RESOURCES.ConfigMap, namespace, STATE_NAME, patch, { manager: MANAGER });
  };
  return {
    read: async (slug) => rememberedIn(await get(), slug),
    rewrite: async (slug, change) => {
      for (let left = TRIES; ; left -= 1) {
        const found = await get();
        const before = rememberedIn(found, slug);
        const after = change(before);
        const text = rememberedText(after);
        if (text === rememberedText(before)) return after;
        try {
          await write(found, slug, text);
          return after;
        } catch (error) {
          if (!(error instanceof KubeError) || !isRace(error) || left <= 1) throw error;
        }
      }
    },
  };
}
