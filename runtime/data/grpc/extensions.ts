import type { ArmRoute } from '../../core/table';
import type { Signal } from '../exchange';
import { exchanged } from '../http/client';
import type { Attempt } from '../job';
import { isPlain } from '../protocols/json';
import type { Upstream } from '../upstream';
import { readAll } from '../upstream';

/** What a server says of itself is small; what is larger is none of it. */
const MAX_BYTES = 64 * 1024;

/** Servers that are known to take binary tensors. */
const BINARY: ReadonlySet<ArmRoute['server']['kind']> = new Set(['onnx', 'triton']);

/** Does an arm take binary tensors? Others than the known ones are asked, once per version. */
export interface Extensions {
  /** Undefined: it could not be learnt now. */
  readonly isBinary: (
    model: string,
    attempt: Attempt,
    signal: Signal,
  ) => boolean | Promise<boolean | undefined>;
}

function hasBinary(body: Buffer): boolean {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'));
    const extensions = isPlain(answer) ? answer['extensions'] : undefined;
    return Array.isArray(extensions) && extensions.includes('binary_tensor_data');
  } catch {
    return false;
  }
}

export function createExtensions(upstream: Upstream): Extensions {
  const known = new Map<string, { readonly version: string; readonly binary: boolean }>();
  const ask = async ({ replica, remainingMs: timeoutMs }: Attempt, signal: Signal) => {
    const sending = { replica, method: 'GET', target: '/v2', headers: '', body: undefined };
    const whole = { ...sending, timeoutMs, signal, repeatable: true };
    const answered = await exchanged((asker) => upstream.send(whole, asker));
    if (answered.kind !== 'answered') return undefined;
    const body = await readAll(answered, MAX_BYTES, timeoutMs);
    if (!Buffer.isBuffer(body) || answered.status >= 500) return undefined;
    return answered.status === 200 && hasBinary(body);
  };
  return {
    isBinary: (model, attempt, signal) => {
      const { arm, replica } = attempt;
      if (BINARY.has(arm.server.kind)) return true;
      // One entry per arm: a new version replaces the one before, so that this cannot grow.
      const key = `${model}\0${arm.name}`;
      const found = known.get(key);
      if (found?.version === replica.version) return found.binary;
      return ask(attempt, signal).then((binary) => {
        if (binary !== undefined) known.set(key, { version: replica.version, binary });
        return binary;
      });
    },
  };
}
