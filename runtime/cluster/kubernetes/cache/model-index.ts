import type { KubeObject } from '../client/api';
import type { Objects } from '../client/watch-loop';

const NONE: ReadonlyMap<string, KubeObject> = new Map();

/**
 * The objects of one watch by model. A new view is compared with the previous one by identity, so
 * that only changed models are refreshed.
 */
export class ModelIndex {
  #seen: Objects = NONE;
  readonly #bySlug = new Map<string, Map<string, KubeObject>>();

  /** `slugOf` returns the model of an object, or ''. */
  constructor(private readonly slugOf: (object: KubeObject) => string) {}

  /** Takes a new view and returns the models whose objects changed. */
  take(objects: Objects): ReadonlySet<string> {
    const changed = new Set<string>();
    if (objects === this.#seen) return changed;
    for (const [name, object] of this.#seen)
      if (objects.get(name) !== object) this.#drop(name, object, changed);
    for (const [name, object] of objects)
      if (this.#seen.get(name) !== object) this.#add(name, object, changed);
    this.#seen = objects;
    changed.delete('');
    return changed;
  }

  of(slug: string): readonly KubeObject[] {
    return [...(this.#bySlug.get(slug) ?? NONE).values()];
  }

  #drop(name: string, object: KubeObject, changed: Set<string>): void {
    const slug = this.slugOf(object);
    const own = this.#bySlug.get(slug);
    own?.delete(name);
    if (own?.size === 0) this.#bySlug.delete(slug);
    changed.add(slug);
  }

  #add(name: string, object: KubeObject, changed: Set<string>): void {
    const slug = this.slugOf(object);
    const own = this.#bySlug.get(slug) ?? new Map<string, KubeObject>();
    this.#bySlug.set(slug, own.set(name, object));
    changed.add(slug);
  }
}
