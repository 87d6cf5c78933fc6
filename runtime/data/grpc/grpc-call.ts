import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Metadata, ServerInterceptingCallInterface, ServerUnaryCall } from '@grpc/grpc-js';
import type { AuthResult } from '../../auth/port';
import { auditLineOf } from '../handlers/audit-line';
import { binaryPayload } from '../handlers/sampled-exchange';
import { Refusal } from '../transcode/refusal';
import type { IncomingRequest, RequestObserver } from '../http/exchange';
import type { Tracing } from '../upstream/tracing';
import { rpcObserverOf } from '../handlers/server-span';
import { tracingOf } from '../upstream/tracing';
import type { Fields } from '../http/fields';
import { checkText, fieldsOf, HttpFault } from '../http/fields';
import { CallerSignal } from '../http/server/caller-signal';
import type { ShownCertificates } from '../http/server/client-certificate';
import type { Plane } from '../handlers/request';

// A call as the steps before its body know requests: metadata are its headers.

/** Calls that run. */
export class RunningCalls {
  private count = 0;
  private onIdle: (() => void) | undefined;

  /** @returns a function to call at the end of the call; only the first call counts */
  begin(): () => void {
    this.count += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.count -= 1;
      if (this.count === 0) this.onIdle?.();
    };
  }

  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.count === 0) resolve();
      else this.onIdle = resolve;
    });
  }
}

export interface GrpcContext {
  readonly running: RunningCalls;
  readonly plane: Plane;
  /** Absent: the port does not speak TLS. */
  readonly certificates: ShownCertificates | undefined;
  /** The library has no limit of its own below that of HTTP/2. */
  readonly maxMetadataBytes: number;
}

/** One call on its way through the steps. */
export interface GrpcCall {
  readonly exchange: IncomingRequest;
  readonly tracing: Tracing;
  readonly account: RequestObserver | undefined;
  /** Milliseconds since the epoch, `Infinity` when the caller set none. */
  readonly deadline: number;
}

/** gRPC's own metadata, and the header that locates our own binary tensors. */
const NOT_THE_CALLERS = /^(?:grpc-|inference-header-|:)/;

/** Metadata as header lines. @throws Refusal when they cannot be any */
export function fieldsFrom(metadata: Metadata, maxBytes: number): Fields {
  const lines: string[] = [];
  for (const [name, values] of Object.entries(metadata.toHttp2Headers())) {
    if (NOT_THE_CALLERS.test(name) || values === undefined) continue;
    for (const value of Array.isArray(values) ? values : [values]) lines.push(`${name}: ${value}`);
  }
  const head = [...lines, '', ''].join('\r\n');
  if (head.length > maxBytes) {
    throw new Refusal(
      'PAYLOAD_TOO_LARGE',
      `metadata have more than ${maxBytes} bytes; send less (server.max_header_bytes)`,
    );
  }
  try {
    // Prevents header injection.
    checkText(head);
    const fields = fieldsOf(head, 0);
    if (fields.names.length === lines.length) return fields;
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
  }
  throw new Refusal('INVALID_REQUEST', 'metadata: a name or a value is not valid in HTTP');
}

/** `127.0.0.1:50001` → `127.0.0.1`, `::1:50001` → `::1` */
export const hostOf = (peer: string): string => peer.slice(0, peer.lastIndexOf(':'));

/** Of a call whose metadata cannot be read. */
export const NO_FIELDS = fieldsOf('\r\n', 0);

/** For the errors of calls whose metadata cannot be read. */
export const untraced = (plane: Plane): Tracing => tracingOf({ fields: NO_FIELDS }, plane.newId);

interface CallWithSession {
  readonly stream?: { readonly session?: { readonly socket?: Socket } };
}

/** The library gives no access to the certificate as X.509. */
export function certificateOf(
  { certificates }: Pick<GrpcContext, 'certificates'>,
  call: ServerInterceptingCallInterface,
): X509Certificate | undefined {
  const { stream } = call as unknown as CallWithSession;
  const socket = stream?.session?.socket;
  return socket && certificates?.of(socket);
}

/** Who sends a call, learned when its metadata came. A call has its own metadata. */
const IDENTITIES = new WeakMap<Metadata, AuthResult>();

export const identified = (metadata: Metadata, identity: AuthResult): void =>
  void IDENTITIES.set(metadata, identity);

/** @throws Refusal */
export function grpcCallOf(
  context: GrpcContext,
  path: string,
  call: ServerUnaryCall<Buffer, Buffer>,
): GrpcCall {
  const { plane, certificates, maxMetadataBytes } = context;
  const fields = fieldsFrom(call.metadata, maxMetadataBytes);
  const signal = new CallerSignal();
  // Also emitted after the end, when no listener is left.
  call.on('cancelled', () => signal.abort());
  if (call.cancelled) signal.abort();
  const tracing = tracingOf({ fields }, plane.newId, plane.tracer, path);
  const remoteAddress = hostOf(call.getPeer());
  const identity = IDENTITIES.get(call.metadata);
  const line = auditLineOf(plane, tracing, { fields, remoteAddress });
  if (line !== undefined && plane.payload !== undefined)
    line.payload = binaryPayload(plane.payload);
  const account = rpcObserverOf(path, tracing.span, line);
  // Of the answer; the message is counted where it comes in.
  const held = plane.held.of(remoteAddress);
  return {
    exchange: {
      fields,
      signal,
      secure: certificates !== undefined,
      remoteAddress,
      identity,
      account,
      held,
    },
    tracing,
    account,
    deadline: Number(call.getDeadline()),
  };
}
