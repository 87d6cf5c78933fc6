import type {
  handleUnaryCall,
  ServerInterceptor,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status as GrpcStatus,
} from '@grpc/grpc-js';
import type { AuthResult } from '../../auth/port';
import { auditLineOf } from '../handlers/audit-line';
import { STATUS_ABORTED } from '../../core/routing/error-codes';
import { CallerGone } from '../upstream/failure';
import { rpcObserverOf } from '../handlers/server-span';
import { tracingOf } from '../upstream/tracing';
import type { IncomingRequest } from '../http/exchange';
import type { Fields } from '../http/fields';
import { authenticated, refusalFor } from '../handlers/request';
import type { GrpcCall, GrpcContext } from './grpc-call';
import {
  certificateOf,
  grpcCallOf,
  fieldsFrom,
  hostOf,
  identified,
  NO_FIELDS,
  untraced,
} from './grpc-call';
import { createExtensions } from './extensions';
import type { GrpcResponse } from './model-infer';
import { modelInfer } from './model-infer';
import { countMessage } from './message-memory';
import {
  modelMetadata,
  modelReady,
  repositoryIndex,
  serverLive,
  serverMetadata,
  serverReady,
} from './model-metadata';
import { setOwn, statusOf } from './status';

/** One call of the service. */
type Method = (call: GrpcCall, message: Buffer) => GrpcResponse | Promise<GrpcResponse>;

function methodsOf({ plane }: GrpcContext): Readonly<Record<string, Method>> {
  const inference = { plane, extensions: createExtensions(plane.upstream, plane.clock) };
  return {
    ServerLive: (call, message) => serverLive(plane, call, message),
    ServerReady: (call, message) => serverReady(plane, call, message),
    ServerMetadata: (call, message) => serverMetadata(plane, call, message),
    ModelReady: (call, message) => modelReady(plane, call, message),
    ModelMetadata: (call, message) => modelMetadata(plane, call, message),
    ModelInfer: (call, message) => modelInfer(inference, call, message),
    RepositoryIndex: (call, message) => repositoryIndex(plane, call, message),
  };
}

type Unary = ServerUnaryCall<Buffer, Buffer>;
type Respond = Parameters<handleUnaryCall<Buffer, Buffer>>[1];

/** Ends the span and the audit line of a call. */
function finish(call: GrpcCall | undefined, code: GrpcStatus, httpStatus: number): void {
  call?.tracing.span?.set('rpc.grpc.status_code', code);
  call?.account?.onFinished(httpStatus);
}

function refuse(
  { plane }: GrpcContext,
  call: GrpcCall | undefined,
  error: unknown,
  respond: Respond,
) {
  // The caller left; the stream is closed.
  if (error instanceof CallerGone) return finish(call, GrpcStatus.CANCELLED, STATUS_ABORTED);
  const tracing = call?.tracing ?? untraced(plane);
  const refusal = refusalFor(plane, tracing, error);
  const refused = statusOf(refusal, tracing, new Metadata());
  finish(call, refused.code, refusal.status);
  respond(refused);
}

async function answer(
  context: GrpcContext,
  path: string,
  method: Method,
  unary: Unary,
  respond: Respond,
) {
  let call: GrpcCall | undefined;
  try {
    call = grpcCallOf(context, path, unary);
    const { message, origin } = await method(call, unary.request);
    if (origin !== undefined) call.account?.onRouted(origin.arm, origin.version);
    if (unary.cancelled) return finish(call, GrpcStatus.CANCELLED, STATUS_ABORTED);
    finish(call, GrpcStatus.OK, 200);
    unary.sendMetadata(setOwn(new Metadata(), call.tracing, origin));
    respond(null, message);
  } catch (error) {
    refuse(context, call, error, respond);
  } finally {
    call?.exchange.held.release();
  }
}

const pathOf = (method: string): string => `inference.GRPCInferenceService/${method}`;

const unchanged = (message: Buffer): Buffer => message;

/** Messages are read by the methods: how large one may be depends on the model it names. */
export function serviceOf(context: GrpcContext): {
  readonly definition: ServiceDefinition;
  readonly methods: UntypedServiceImplementation;
} {
  const methods = Object.entries(methodsOf(context));
  const definitions = methods.map(([name]) => {
    const definition = {
      path: `/${pathOf(name)}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: unchanged,
      requestDeserialize: unchanged,
      responseSerialize: unchanged,
      responseDeserialize: unchanged,
    } as const;
    return [name, definition] as const;
  });
  const handlers = methods.map(([name, method]) => {
    const handle: handleUnaryCall<Buffer, Buffer> = (unary, respond) =>
      void answer(context, pathOf(name), method, unary, respond);
    return [name, handle] as const;
  });
  return { definition: Object.fromEntries(definitions), methods: Object.fromEntries(handlers) };
}

/** A message may have many megabytes: authenticate, and look for memory, before it is read. */
export function admissionInterceptor(context: GrpcContext): ServerInterceptor {
  return ({ path }, call) => {
    const leave = context.running.begin();
    const remoteAddress = hostOf(call.getPeer());
    const held = context.plane.held.of(remoteAddress);
    let isOver = false;
    const end = (): void => {
      isOver = true;
      held.release();
      leave();
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, pass) => {
        let fields = NO_FIELDS;
        let caller: string | undefined;
        const fail = (error: unknown): void => {
          const message = { fields, remoteAddress, caller };
          if (!isOver) call.sendStatus(refusalStatus(context, path.slice(1), message, error));
          end();
        };
        const begin = (known: Fields, identity: AuthResult): void => {
          if (isOver) return;
          caller = identity.ok ? identity.caller.name : undefined;
          authenticated(context.plane, { fields: known, held, remoteAddress, identity });
          identified(metadata, identity);
          countMessage(call, held, fail);
          pass(metadata);
        };
        try {
          fields = fieldsFrom(metadata, context.maxMetadataBytes);
          const own = fields;
          const certificate = certificateOf(context, call);
          const identity = context.plane.authenticate({ fields: own, remoteAddress, certificate });
          if (!(identity instanceof Promise)) return begin(own, identity);
          identity.then((one) => begin(own, one)).catch(fail);
        } catch (error) {
          fail(error);
        }
      })
      .withOnCancel(end);
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener.build()))
      .withSendStatus((status, next) => {
        next(status);
        end();
      });
    return new ServerInterceptingCall(call, responder.build());
  };
}

/** The status of a call that is refused before its message is read, with its audit line. */
function refusalStatus(
  { plane }: GrpcContext,
  path: string,
  message: Pick<IncomingRequest, 'fields' | 'remoteAddress'> & {
    readonly caller?: string | undefined;
  },
  error: unknown,
) {
  const tracing = tracingOf(message, plane.newId, plane.tracer, path);
  const refusal = refusalFor(plane, tracing, error);
  const line = auditLineOf(plane, tracing, message);
  const account = rpcObserverOf(path, tracing.span, line);
  account?.onIdentified(message.caller, undefined);
  const refused = statusOf(refusal, tracing, new Metadata());
  tracing.span?.set('rpc.grpc.status_code', refused.code);
  account?.onFinished(refusal.status);
  return refused;
}
