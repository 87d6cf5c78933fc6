import type { KeyObject } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { parseJsonPath } from '../../lib/config';
import type { Audit, AuditStatus, PayloadSampler } from '../audit';
import { createAudit, payloadSampler, readChainKey } from '../audit';
import type { AuditCounts } from '../metrics';
import { clock } from '../shared/clock';
import type { ServiceOptions } from './service-options';

const HOUR_MS = 3_600_000;
/** Of the MAC of the last line: a float holds a number of so many hex digits exactly. */
const HEAD_DIGITS = 12;

/** The key of the audit chain; undefined: there is none. @throws when it cannot be read */
export function chainKeyOf({
  config,
  cwd,
}: Pick<ServiceOptions, 'config' | 'cwd'>): KeyObject | undefined {
  const { chainKeyFile } = config.audit;
  return chainKeyFile === undefined ? undefined : readChainKey(resolve(cwd, chainKeyFile));
}

/** Opens the audit record. It has a timer: to be closed. */
export function openAudit(
  { config, cwd, log }: Pick<ServiceOptions, 'config' | 'cwd' | 'log'>,
  chainKey: KeyObject | undefined,
): Audit {
  const { file, rotateBytes, rotateHours, keep, onFailure } = config.audit;
  return createAudit({
    file: file === undefined || file === '-' ? file : resolve(cwd, file),
    chainKey,
    instance: hostname(),
    rotation: { bytes: rotateBytes, ms: rotateHours && rotateHours * HOUR_MS, keep },
    onFailure,
    clock,
    // A lower level must not hide that the record fails, nor its head.
    log: log.always ?? log,
  });
}

/** The record in numbers, for the metrics. */
export function auditCountsOf({
  fault,
  waitingLines,
  droppedLines,
  head,
}: AuditStatus): AuditCounts {
  const chainHead = Number.parseInt(head?.mac.slice(0, HEAD_DIGITS) ?? '0', 16);
  const failing = fault === undefined ? 0 : 1;
  return { failing, waitingLines, droppedLines, chainLines: head?.n ?? 0, chainHead };
}

/** Which payloads the record has; undefined: none. */
export function payloadSamplerOf(
  { config }: Pick<ServiceOptions, 'config'>,
  random: () => number,
): PayloadSampler | undefined {
  const { payload } = config.audit;
  if (payload === undefined) return undefined;
  const redact = payload.redact.map((path) => parseJsonPath(path) ?? []);
  return payloadSampler({ ...payload, redact, random });
}
