import type { ArmRoute } from '../../core/routing/table';
import type { ServerInfoCache, ServerInfoResult } from '../upstream/server-info-cache';
import { createServerInfoCache } from '../upstream/server-info-cache';
import { isJsonObject } from '../transcode/body-json';
import type { HttpClient } from '../http/client/client';

/** Server metadata is small; a larger body is rejected. */
const MAX_BYTES = 64 * 1024;

/** Servers that are known to take binary tensors. */
const BINARY: ReadonlySet<ArmRoute['server']['kind']> = new Set(['onnx', 'triton']);

/** Whether an arm takes binary tensors. Unknown servers are asked once per version. */
export interface Extensions {
  /** Undefined: it could not be learnt now. */
  readonly isBinary: ServerInfoCache<boolean>['get'];
}

function hasBinary(body: Buffer): boolean {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'));
    const extensions = isJsonObject(answer) ? answer['extensions'] : undefined;
    return Array.isArray(extensions) && extensions.includes('binary_tensor_data');
  } catch {
    return false;
  }
}

function read(status: number, body: Buffer): ServerInfoResult<boolean> {
  if (status >= 500) return { kind: 'unknown' };
  return { kind: 'fact', value: status === 200 && hasBinary(body) };
}

export function createExtensions(
  upstream: HttpClient,
  clock: { readonly now: () => number },
): Extensions {
  const serverInfo = createServerInfoCache(upstream, clock, {
    target: () => '/v2',
    limit: MAX_BYTES,
    read,
  });
  return {
    isBinary: (model, attempt, signal) =>
      BINARY.has(attempt.arm.server.kind) || serverInfo.get(model, attempt, signal),
  };
}
