import type { AuditEntry } from '../../audit';
import { STATUS_ABORTED } from '../../core/routing/error-codes';
import type { IncomingRequest, RequestObserver } from '../http/exchange';
import type { Tracing } from '../upstream/tracing';
import { callerAddress } from '../../shared/trusted-proxies';
import type { Plane } from './request';

type AuditedPlane = Pick<Plane, 'audit' | 'clock' | 'trust'>;
type AuditedRequest = Pick<IncomingRequest, 'fields' | 'remoteAddress'>;

/** The payload of a sampled request. */
export interface LinePayload {
  /** Called once. @returns JSON, redacted; undefined: that of this model is not recorded */
  readonly finish: (model: string | undefined) => string | undefined;
}

/** The one audit entry of a request, however it ends. */
class AuditLine implements RequestObserver {
  private caller: string | undefined;
  private model: string | undefined;
  private arm: string | undefined;
  private version: string | undefined;
  private isOver = false;
  /** Undefined: the request is not sampled. */
  payload: LinePayload | undefined;

  constructor(
    private readonly requestId: string,
    private readonly plane: AuditedPlane,
    private readonly record: (entry: AuditEntry) => void,
    private readonly request: AuditedRequest,
    private readonly began: number,
  ) {}

  onIdentified(caller: string | undefined, model: string | undefined): void {
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
    const { caller, model, arm, version, requestId, plane, request } = this;
    const at = plane.clock.now();
    const ms = at - this.began;
    const address = callerAddress(plane.trust, request);
    const who = { caller, action: 'infer', model, arm, version };
    const entry = { at, ...who, ms, address, requestId, status };
    // What a caller that was not recognized sends is not read.
    const payload = this.payload?.finish(caller === undefined ? undefined : model);
    this.record(payload === undefined ? entry : { ...entry, payload });
  }
}

/** The audit entry of a request; undefined without an audit log. */
export function auditLineOf(
  plane: AuditedPlane,
  { requestId }: Tracing,
  request: AuditedRequest,
  began = plane.clock.now(),
): AuditLine | undefined {
  const { audit } = plane;
  return audit && new AuditLine(requestId, plane, audit, request, began);
}
