import type { ArmRoute } from '../core/table';
import type { Signal } from './exchange';
import type { Attempt } from './job';
import type { ModelMetadata } from './protocols/v2';
import { readMetadata } from './protocols/v2';
import type { Upstream } from './upstream';
import { exchanged } from './http/client';
import { readAll } from './upstream';

/** Metadata of a model is small; what is larger is no metadata. */
const MAX_BYTES = 1024 * 1024;

/** What the inputs of an arm are, asked once per version of it. */
export interface MetadataCache {
  readonly of: (
    model: string,
    attempt: Attempt,
    signal: Signal,
  ) => ModelMetadata | Promise<ModelMetadata | undefined>;
  /** What has been learnt of an arm's version so far. */
  readonly known: (model: string, arm: ArmRoute) => ModelMetadata | undefined;
}

export function createMetadataCache(upstream: Upstream): MetadataCache {
  const known = new Map<string, { readonly version: string; readonly metadata: ModelMetadata }>();
  const ask = async (model: string, attempt: Attempt, signal: Signal) => {
    const { replica, remainingMs: timeoutMs } = attempt;
    const target = `/v2/models/${encodeURIComponent(model)}`;
    const sending = { replica, method: 'GET', target, headers: '', body: undefined };
    const whole = { ...sending, timeoutMs, signal, repeatable: true };
    const answered = await exchanged((asker) => upstream.send(whole, asker));
    if (answered.kind !== 'answered') return undefined;
    const body = await readAll(answered, MAX_BYTES, timeoutMs);
    if (!Buffer.isBuffer(body) || answered.status !== 200) return undefined;
    try {
      return readMetadata(JSON.parse(body.toString('utf8')));
    } catch {
      return undefined;
    }
  };
  const learn = async (key: string, model: string, attempt: Attempt, signal: Signal) => {
    const metadata = await ask(model, attempt, signal);
    if (metadata !== undefined) known.set(key, { version: attempt.replica.version, metadata });
    return metadata;
  };
  // One entry per arm: a new version replaces the one before, so that this cannot grow.
  const keyOf = (model: string, arm: ArmRoute): string => `${model}\0${arm.name}`;
  return {
    known: (model, arm) => {
      const found = known.get(keyOf(model, arm));
      return found?.version === arm.version ? found.metadata : undefined;
    },
    of: (model, attempt, signal) => {
      const key = keyOf(model, attempt.arm);
      const found = known.get(key);
      return found?.version === attempt.replica.version
        ? found.metadata
        : learn(key, model, attempt, signal);
    },
  };
}
