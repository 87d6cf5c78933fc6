import { requestIdOf, traceparentOf } from '../../shared/request-id';
import type { Span, Tracer } from '../../shared/spans';
import type { IncomingRequest } from '../http/exchange';

/** Identifies a request across services. */
export interface Tracing {
  readonly requestId: string;
  /** The caller's; that of the span where there is one. */
  readonly traceparent: string | undefined;
  /** Absent: the request is not traced. */
  readonly span?: Span | undefined;
}

/** @param name of the span, if the request is sampled; @param tracer absent: nothing is traced */
export function tracingOf(
  { fields }: Pick<IncomingRequest, 'fields'>,
  newId: () => string,
  tracer?: Tracer | undefined,
  name = '',
): Tracing {
  const given = traceparentOf(fields.get('traceparent'));
  const span = tracer?.start(name, 'server', given);
  return {
    requestId: requestIdOf(fields.get('x-request-id'), newId),
    traceparent: span === undefined ? given : span.traceparent,
    span,
  };
}
