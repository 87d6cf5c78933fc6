import type { Protocol, Server } from '../../../lib/spec';

// Which calls reach which servers: as they are, or in other words. Lists, status, paths, OpenAPI
// and the handlers read this table.

export const V1_ACTIONS = ['predict', 'classify', 'regress', 'explain'] as const;
export const OPENAI_CALLS = ['chat/completions', 'completions', 'embeddings', 'responses'] as const;

type V1Name = (typeof V1_ACTIONS)[number] | 'status' | 'metadata';
type V2Name = 'infer' | 'metadata' | 'ready';
type NativeName = 'inference' | 'batch_inference';
type OpenaiName = (typeof OPENAI_CALLS)[number];

/** Calls by the protocol of the caller. */
export interface CallNames {
  readonly native?: readonly NativeName[];
  readonly v2?: readonly V2Name[];
  readonly v1?: readonly V1Name[];
  readonly openai?: readonly OpenaiName[];
}

const NATIVE: CallNames = { native: ['inference', 'batch_inference'] };
/** Readiness is the router's own answer, whatever the server is. */
const V2: CallNames = { v2: ['infer', 'metadata'] };
const TFS: CallNames = { v1: ['predict', 'classify', 'regress', 'status', 'metadata'] };
const OPENAI: CallNames = { openai: OPENAI_CALLS };

type KnownKind = Exclude<Server['kind'], 'custom'>;

/**
 * The calls of each kind of server; its protocol is that of `SERVERS` in lib/spec, and a test
 * compares them.
 */
const BY_KIND: Readonly<Record<KnownKind, { protocol: Protocol; calls: CallNames }>> = {
  onnx: { protocol: 'v2', calls: { ...NATIVE, ...V2, v1: ['predict', 'status', 'metadata'] } },
  'tensorflow-serving': { protocol: 'tfs', calls: TFS },
  triton: { protocol: 'v2', calls: V2 },
  mlserver: { protocol: 'v2', calls: V2 },
  vllm: { protocol: 'openai', calls: OPENAI },
};

/** A server of one's own may have all that its protocol has. */
const BY_PROTOCOL: Readonly<Record<Protocol, CallNames>> = {
  native: NATIVE,
  v2: V2,
  v1: { v1: ['predict', 'explain', 'classify', 'regress', 'status', 'metadata'] },
  tfs: TFS,
  openai: OPENAI,
};

/** Calls that are put in other words, or answered by the router, by the protocol of the server. */
const TRANSCODED: Readonly<Record<Protocol, CallNames>> = {
  native: {
    v1: ['predict', 'status'],
    v2: ['infer', 'metadata'],
    openai: ['chat/completions', 'completions', 'embeddings'],
  },
  v2: { ...NATIVE, v1: ['predict', 'status'] },
  v1: { ...NATIVE, v2: ['infer', 'metadata'] },
  tfs: { ...NATIVE, v2: ['infer', 'metadata'] },
  openai: { ...NATIVE, v1: ['status'], v2: ['metadata'] },
};

export function protocolOf(server: Server): Protocol {
  return server.kind === 'custom' ? server.protocol : BY_KIND[server.kind].protocol;
}

/** Calls that the server understands as they are. */
export function supportedBy(server: Server): CallNames {
  return server.kind === 'custom' ? BY_PROTOCOL[server.protocol] : BY_KIND[server.kind].calls;
}

/** Calls that can be put in the server's words. */
export const transcodedFor = (server: Server): CallNames => TRANSCODED[protocolOf(server)];

/** A call by its protocol and name. */
export interface NamedCall {
  readonly kind: keyof CallNames;
  readonly call: string;
}

export function hasCall(calls: CallNames, { kind, call }: NamedCall): boolean {
  const names: readonly string[] | undefined = calls[kind];
  return names?.includes(call) === true;
}

/** Is this call answered by a model on such a server? */
export function offersCall(server: Server, call: NamedCall): boolean {
  return hasCall(supportedBy(server), call) || hasCall(transcodedFor(server), call);
}
