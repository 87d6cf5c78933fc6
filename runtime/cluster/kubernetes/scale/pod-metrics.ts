import { MODEL_LABEL } from '../../../../lib/objects';
import type { KubeApi } from '../client/api';
import { KubeError } from '../client/api-error';
import { RESOURCES } from '../client/resources';
import type { Timing } from '../client/timing';
import type { Objects } from '../client/watch-loop';

/** metrics-server looks every 15 s or so, and a status needs no more. */
const PERIOD_MS = 30_000;
/** A cluster in which nobody measures may begin to. */
const ABSENT_MS = 300_000;
/** No such API; or the Role does not allow it. */
const ABSENT: ReadonlySet<number | undefined> = new Set([403, 404]);

const NONE: Objects = new Map();

export interface PodMetricsOptions {
  readonly api: Pick<KubeApi, 'list'>;
  readonly namespace: string;
  readonly timing: Timing;
  readonly onChange: () => void;
}

/**
 * What the pods of models use, PodMetrics by the pod's name. They cannot be watched, so they are
 * asked for now and then; old ones are thrown away when there are no new ones.
 */
export class PodMetrics {
  #objects: Objects = NONE;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(private readonly options: PodMetricsOptions) {
    void this.#look();
  }

  objects(): Objects {
    return this.#objects;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const { api, namespace, timing, onChange } = this.options;
    const query = { labelSelector: MODEL_LABEL, retry: false };
    const { objects, next } = await api.list(RESOURCES.PodMetrics, namespace, query).then(
      ({ items }) => ({
        objects: new Map(items.map((one) => [one.metadata.name, one])),
        next: PERIOD_MS,
      }),
      (error: unknown) => ({ objects: NONE, next: isAbsent(error) ? ABSENT_MS : PERIOD_MS }),
    );
    if (this.#stopped) return;
    const isNews = objects.size > 0 || this.#objects.size > 0;
    this.#objects = objects;
    this.#cancel = timing.after(() => void this.#look(), next);
    if (isNews) onChange();
  }
}

const isAbsent = (error: unknown): boolean =>
  error instanceof KubeError && ABSENT.has(error.status);
