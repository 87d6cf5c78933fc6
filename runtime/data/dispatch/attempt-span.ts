import type { AttemptResult } from '../../core/routing/outcome';
import type { ArmRoute, ReplicaRoute } from '../../core/routing/table';
import type { Span } from '../../shared/spans';
import type { Admission } from './queue';

// The spans of a request that is traced. Others have none.

interface SpannedAttempt {
  readonly replica: ReplicaRoute;
  readonly arm: ArmRoute;
  /** Counts from 1. */
  readonly number: number;
}

/** The span of one attempt; it began `agoMs` milliseconds ago. */
export function attemptSpan(
  parent: Span | undefined,
  { replica, arm, number }: SpannedAttempt,
  agoMs = 0,
): Span | undefined {
  if (parent === undefined) return undefined;
  const span = parent.child('attempt', 'client', agoMs);
  const { address } = replica;
  const colon = address.lastIndexOf(':');
  span.set('server.address', address.slice(0, colon).replace(/^\[|\]$/g, ''));
  span.set('server.port', Number(address.slice(colon + 1)));
  span.set('ai_model.arm', arm.name);
  span.set('ai_model.version', replica.version);
  if (number > 1) span.set('http.request.resend_count', number - 1);
  return span;
}

/** Ends the span of the time in the queue. */
export function endQueueSpan(span: Span | undefined, admission: Admission): void {
  if (span === undefined) return;
  if (admission.kind === 'refused') return span.end(admission.reason);
  span.end(admission.kind === 'aborted' ? 'aborted' : undefined);
}

/** Ends the span of an attempt. A client's span fails from 400 on, as OpenTelemetry has it. */
export function endAttemptSpan(span: Span | undefined, result: AttemptResult): void {
  if (span === undefined) return;
  if (result.kind !== 'answered') return span.end(result.kind);
  span.end(result.status >= 400 ? String(result.status) : undefined);
}
