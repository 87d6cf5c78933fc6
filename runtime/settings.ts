import type { Config } from './config';
import type { Tuning } from './core/tuning';
import type { Limits, UpstreamOptions } from './data';

// The configuration in the words and units of the parts that it is for.

export function tuningOf({ routing }: Config): Tuning {
  return {
    decayMs: routing.decaySeconds * 1000,
    rampMs: routing.rampSeconds * 1000,
    consecutiveFailures: routing.consecutiveFailures,
    firstOutMs: routing.ejectionSeconds * 1000,
    longestOutMs: routing.maxEjectionSeconds * 1000,
    retryRatio: routing.retryPercent / 100,
    freeRetriesPerSecond: routing.freeRetriesPerSecond,
    minJitterMs: routing.minRetryDelayMs,
    maxJitterMs: routing.maxRetryDelayMs,
  };
}

export function upstreamOf({ routing }: Config): UpstreamOptions {
  const { connectMs, idleMs, maxIdleConnections: maxIdlePerReplica } = routing;
  return { connectMs, idleMs, maxIdlePerReplica };
}

export function limitsOf({ inference }: Config): Limits {
  return {
    answerBytes: inference.maxAnswerBytes,
    openaiBytes: inference.maxOpenaiBodyBytes,
    shadowBytes: inference.maxShadowBytes,
    shadowPart: inference.shadowPercent / 100,
  };
}
