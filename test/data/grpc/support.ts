import { join } from 'node:path';
import type { CallOptions, ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { Client, credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import type { ChannelOptions, ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { GrpcServerOptions } from '../../../runtime/data/grpc';
import { openGrpcServer } from '../../../runtime/data/grpc';
import type { Listener } from '../../../runtime/shared/listen';
import type { TestPlane } from '../../support/plane';

// A client that others wrote, with messages that others encode: what we read and write is checked
// against the file that clients get.

const PROTO = join(__dirname, '../../../schema/open_inference.proto');

/** What `loadPackageDefinition` makes of the file. */
interface Loaded {
  readonly inference: { readonly GRPCInferenceService: ServiceClientConstructor };
}

const loaded = loadSync(PROTO, { keepCase: true, longs: String, defaults: true, oneofs: true });
const { GRPCInferenceService } = (loadPackageDefinition(loaded) as unknown as Loaded).inference;

export interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly string[];
  readonly parameters: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly contents: Readonly<Record<string, readonly unknown[]>> | null;
}

/** The answers of all methods; each has its part of it. */
export interface Reply {
  readonly live: boolean;
  readonly ready: boolean;
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly models: readonly Readonly<Record<string, string>>[];
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Tensor['parameters'];
  readonly raw_output_contents: readonly Buffer[];
}

export interface Answered {
  readonly reply: Reply;
  readonly metadata: Metadata;
}

type Method = (
  request: object,
  metadata: Metadata,
  options: CallOptions,
  done: (error: ServiceError | null, reply: Reply) => void,
) => ClientUnaryCall;

export interface TestClient {
  readonly call: (
    method: string,
    request?: object,
    headers?: Readonly<Record<string, string>>,
    options?: CallOptions,
  ) => Promise<Answered>;
  /** The error of a call; fails when there is none. */
  readonly fail: (...call: Parameters<TestClient['call']>) => Promise<ServiceError>;
  /** Begins one that the caller may break off. */
  readonly begin: (method: string, request: object) => ClientUnaryCall & { ended: Promise<number> };
  readonly close: () => void;
}

const clients = new Set<TestClient>();
const servers = new Set<Listener>();

export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

export function connect(
  port: number,
  options: ChannelOptions = {},
  secure = credentials.createInsecure(),
): TestClient {
  const client = new GRPCInferenceService(`127.0.0.1:${port}`, secure, {
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  });
  const methodOf = (name: string): Method =>
    (client[name] as unknown as Method).bind(client) as Method;
  const made: TestClient = {
    call: (method, request = {}, headers = {}, callOptions = {}) =>
      new Promise((resolve, reject) => {
        let metadata = new Metadata();
        const call = methodOf(method)(
          request,
          metadataOf(headers),
          // A test must fail, not hang.
          { deadline: Date.now() + 15_000, ...callOptions },
          (error, reply) => (error === null ? resolve({ reply, metadata }) : reject(error)),
        );
        call.on('metadata', (first: Metadata) => {
          metadata = first;
        });
      }),
    fail: (...call) =>
      made.call(...call).then(
        ({ reply }) => {
          throw new Error(`it was answered: ${JSON.stringify(reply)}`);
        },
        (error: ServiceError) => error,
      ),
    begin: (method, request) => {
      let end: (code: number) => void = () => undefined;
      const ended = new Promise<number>((resolve) => {
        end = resolve;
      });
      const call = methodOf(method)(request, new Metadata(), {}, (error) => end(error?.code ?? 0));
      return Object.assign(call, { ended });
    },
    close: () => {
      clients.delete(made);
      (client as unknown as Client).close();
    },
  };
  clients.add(made);
  return made;
}

/** Sends bytes as a message; the error they end in. */
export function bare(port: number, method: string, bytes: Buffer): Promise<ServiceError | null> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const same = (message: Buffer): Buffer => message;
  const path = `/inference.GRPCInferenceService/${method}`;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, bytes, (error) => {
      client.close();
      resolve(error);
    });
  });
}

export async function startGrpc(
  { data }: TestPlane,
  options: Partial<GrpcServerOptions> = {},
): Promise<Listener> {
  const server = await openGrpcServer({
    plane: data.plane,
    host: '127.0.0.1',
    port: 0,
    maxConnections: 1000,
    maxMetadataBytes: 16_384,
    maxMessageBytes: 64 * 1024 * 1024,
    ...options,
  });
  servers.add(server);
  return server;
}

/** Ends all that tests started; for `afterEach`. */
export async function stopGrpc(): Promise<void> {
  for (const client of clients) client.close();
  await Promise.all([...servers].map((server) => server.close(0)));
  servers.clear();
}
