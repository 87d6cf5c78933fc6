import type { ServerInfoCache, ServerInfoResult } from './server-info-cache';
import { createServerInfoCache } from './server-info-cache';
import type { ModelInputs } from '../transcode/v2';
import { readMetadata } from '../transcode/v2';
import type { Upstream } from './upstream';

/** Metadata of a model is small; what is larger is no metadata. */
const MAX_BYTES = 1024 * 1024;

/** What the inputs of an arm are. */
export type MetadataCache = ServerInfoCache<ModelInputs>;

/** A server may be too busy to say it; that is not a server that has none. */
const isBusy = (status: number): boolean => status >= 500 || status === 408 || status === 429;

function parsed(body: Buffer): ModelInputs | undefined {
  try {
    return readMetadata(JSON.parse(body.toString('utf8')));
  } catch {
    return undefined;
  }
}

function read(status: number, body: Buffer): ServerInfoResult<ModelInputs> {
  if (isBusy(status)) return { kind: 'unknown' };
  const value = status === 200 ? parsed(body) : undefined;
  return value === undefined || value.inputs.length === 0
    ? { kind: 'none' }
    : { kind: 'fact', value };
}

export function createMetadataCache(
  upstream: Upstream,
  clock: { readonly now: () => number },
): MetadataCache {
  const target = (model: string): string => `/v2/models/${encodeURIComponent(model)}`;
  return createServerInfoCache(upstream, clock, { target, limit: MAX_BYTES, read });
}
