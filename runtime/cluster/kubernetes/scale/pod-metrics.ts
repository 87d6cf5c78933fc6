import { MODEL_LABEL } from '../../../../lib/objects';
import type { KubeApi } from '../client/api';
import { KubeError } from '../client/api-error';
import { RESOURCES } from '../client/resources';
import type { Timing } from '../client/timing';
import type { Objects } from '../client/watch-loop';

/** metrics-server measures about every 15 s. */
const PERIOD_MS = 30_000;
/** metrics-server may be installed later. */
const ABSENT_MS = 300_000;
/** The API does not exist, or the Role does not allow it. */
const ABSENT: ReadonlySet<number | undefined> = new Set([403, 404]);

const NONE: Objects = new Map();

export interface PodMetricsOptions {
  readonly api: Pick<KubeApi, 'list'>;
  readonly namespace: string;
  readonly timing: Timing;
  readonly onChange: () => void;
}

/**
 * PodMetrics of the models' pods by the pod's name. They cannot be watched, so they are polled;
 * after a failed poll the old ones are dropped.
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
