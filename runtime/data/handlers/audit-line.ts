import type { AuditEntry } from '../../audit';
import { STATUS_ABORTED } from '../../core/routing/error-codes';
import type { RequestObserver } from '../http/exchange';
import type { Tracing } from '../upstream/headers';
import type { DataPlaneOptions } from './request';

/** The one audit entry of a request, however it ends. */
export class AuditLine implements RequestObserver {
  private caller: string | undefined;
  private model: string | undefined;
  private arm: string | undefined;
  private version: string | undefined;
  private isOver = false;

  constructor(
    private readonly requestId: string,
    private readonly now: () => number,
    private readonly record: (entry: AuditEntry) => void,
    private readonly began: number,
  ) {}

  onIdentified(caller: string, model: string | undefined): void {
    this.caller = caller;
    this.model = model;
  }

  onRouted(arm: string, version: string): void {
    this.arm = arm;
    this.version = version;
  }

  onFinished(status = STATUS_ABORTED): void {
    if (this.isOver) return;
    this.isOver = true;
    const { caller, model, arm, version, requestId, began } = this;
    const at = this.now();
    const ms = at - began;
    this.record({ at, caller, action: 'infer', model, arm, version, ms, requestId, status });
  }
}

/** The audit entry of a request; undefined without an audit log. */
export function auditLineOf(
  { audit, clock }: Pick<DataPlaneOptions, 'audit' | 'clock'>,
  { requestId }: Tracing,
  began = clock.now(),
): AuditLine | undefined {
  return audit === undefined ? undefined : new AuditLine(requestId, clock.now, audit, began);
}
