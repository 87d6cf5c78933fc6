import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { clock } from '../shared/clock';
import type * as TracesModule from '../traces';
import type { Traces } from '../traces';
import { ConfigError } from './config';
import type { ServiceOptions } from './service-options';

/**
 * Traces, where they are configured; what they need is loaded only then.
 * @throws ConfigError when one of their files cannot be used
 */
export function openTraces({ config, cwd, version, log }: ServiceOptions): Traces | undefined {
  const { traces } = config;
  if (traces === undefined) return undefined;
  const { endpoint, serviceName, sampleRatio, maxQueue, timeoutSeconds } = traces;
  const { openTraces: open, parseHeaders } = require('../traces') as typeof TracesModule;
  const pathOf = (file: string | undefined) => file && resolve(cwd, file);
  const [headersFile, caFile] = [pathOf(traces.headersFile), pathOf(traces.caFile)];
  try {
    if (headersFile !== undefined) parseHeaders(readFileSync(headersFile, 'utf8'));
  } catch (error) {
    throw new ConfigError(`traces.headers_file: ${(error as Error).message}`);
  }
  try {
    if (caFile !== undefined) readFileSync(caFile);
  } catch (error) {
    throw new ConfigError(`traces.ca_file: ${(error as Error).message}`);
  }
  return open({
    endpoint,
    headersFile,
    caFile,
    serviceName,
    sampleRatio,
    maxQueue,
    timeoutMs: timeoutSeconds * 1000,
    instance: hostname(),
    version,
    now: clock.now,
    log,
  });
}
