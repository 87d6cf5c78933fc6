import type { ServerInfoCache, ServerInfoResult } from './server-info-cache';
import { createServerInfoCache } from './server-info-cache';
import type { ModelInputs } from '../transcode/v2';
import { readMetadata } from '../transcode/v2';
import type { HttpClient } from '../http/client/client';

/** Model metadata is small; a larger response is not metadata. */
const MAX_BYTES = 1024 * 1024;

/** The inputs of each arm. */
export type MetadataCache = ServerInfoCache<ModelInputs>;

/** A busy server may well have metadata: its error does not count as absence. */
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
  upstream: HttpClient,
  clock: { readonly now: () => number },
): MetadataCache {
  const target = (model: string): string => `/v2/models/${encodeURIComponent(model)}`;
  return createServerInfoCache(upstream, clock, { target, limit: MAX_BYTES, read });
}
