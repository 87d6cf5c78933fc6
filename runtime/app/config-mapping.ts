import { totalmem } from 'node:os';
import type { Config } from './config';
import type { Tuning } from '../core/routing/tuning';
import type {
  AddressLimit,
  CallerLimits,
  ClientOptions,
  DataPlaneOptions,
  DataPlaneLimits,
} from '../data';
import type { GrpcServerOptions } from '../data/grpc';
import { trustedProxiesOf } from '../shared/trusted-proxies';
import { defaultHeldBytes, memoryOf } from '../shared/held-bytes';

type EdgeOptions = Pick<DataPlaneOptions, 'trustedProxies' | 'allowedOrigins' | 'extraHeaders'>;

// Maps the configuration to the options and units of each part.

export function tuningOf({ routing }: Config): Tuning {
  return {
    decayMs: routing.decaySeconds * 1000,
    rampMs: routing.rampSeconds * 1000,
    rampFrom: routing.rampFromPercent / 100,
    consecutiveFailures: routing.consecutiveFailures,
    baseEjectionMs: routing.ejectionSeconds * 1000,
    maxEjectionMs: routing.maxEjectionSeconds * 1000,
    maxUnreachableMs: routing.maxUnreachableSeconds * 1000,
    ejectionJitter: routing.ejectionJitterPercent / 100,
    ejectionMemoryMs: routing.ejectionMemorySeconds * 1000,
    comparisonSeconds: routing.comparisonSeconds,
    excusedLagMs: routing.excusedLagMs,
    maxEjectedRatio: routing.maxEjectedPercent / 100,
    panicRatio: routing.panicPercent / 100,
    retryRatio: routing.retryPercent / 100,
    freeRetriesPerSecond: routing.freeRetriesPerSecond,
    budgetSeconds: routing.retryWindowSeconds,
    minJitterMs: routing.minRetryDelayMs,
    maxJitterMs: routing.maxRetryDelayMs,
    avoidMs: routing.retryAvoidMs,
    priorityAgeMs: routing.priorityAgeMs,
    oldestEvery: routing.oldestEvery,
    reservedRatio: routing.priorityPercent / 100,
    coldQueueDepth: routing.coldQueueDepth,
  };
}

export function clientOptionsOf({ routing }: Config): ClientOptions {
  const { connectMs, idleMs, maxIdleConnections: maxIdle } = routing;
  return { connectMs, idleMs, maxIdle };
}

/** `[::1]`, the form in URLs, is `::1` for the kernel. */
const withoutBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

export const hostOf = ({ server }: Config): string => withoutBrackets(server.host);

export const opsHostOf = ({ server }: Config): string =>
  withoutBrackets(server.opsHost ?? server.host);

/** Options of the gRPC port; undefined when it is not configured. */
export function grpcOptionsOf(
  config: Config,
): Omit<GrpcServerOptions, 'plane' | 'callers'> | undefined {
  const { server } = config;
  if (server.grpcPort === undefined) return undefined;
  return {
    host: hostOf(config),
    port: server.grpcPort,
    maxConnections: server.maxConnections,
    firstByteMs: server.headersSeconds * 1000,
    maxMetadataBytes: server.maxHeaderBytes,
    maxMessageBytes: server.grpcMaxMessageBytes,
  };
}

/** Memory that all requests together may use; bytes. */
export const heldBytesOf = ({ server }: Config): number =>
  server.maxHeldBytes ?? defaultHeldBytes(memoryOf(process.constrainedMemory(), totalmem()));

/** Connections of one address. A proxy that is trusted speaks for many callers. */
export const addressLimitOf = ({ server }: Config): AddressLimit => ({
  max: server.maxConnectionsPerAddress ?? Math.ceil(server.maxConnections / 2),
  isExempt: trustedProxiesOf(server.trustedProxies),
});

export function callerLimitsOf({ server }: Config): CallerLimits {
  return {
    headMs: server.headersSeconds * 1000,
    keepAliveMs: server.keepAliveSeconds * 1000,
    maxHeadBytes: server.maxHeaderBytes,
    bodyMs: server.bodySeconds * 1000,
    stallMs: server.stallSeconds * 1000,
  };
}

export function limitsOf({ inference }: Config): DataPlaneLimits {
  return {
    answerBytes: inference.maxAnswerBytes,
    openaiBytes: inference.maxOpenaiBodyBytes,
    streamBytes: inference.streamAboveBytes,
    shadowBytes: inference.maxShadowBytes,
    shadowPart: inference.shadowPercent / 100,
  };
}

/** Trusted proxies, allowed origins, and headers passed beside the documented ones. */
export function edgeOptionsOf({ server, inference }: Config): EdgeOptions {
  return {
    trustedProxies: server.trustedProxies,
    allowedOrigins: server.allowedOrigins,
    extraHeaders: { toServers: inference.passedHeaders, toCallers: inference.answerHeaders },
  };
}

/** One line of a shadow's disagreements in so long, milliseconds. */
export const shadowLogMsOf = ({ inference }: Config): number => inference.shadowLogSeconds * 1000;
