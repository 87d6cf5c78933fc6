import { synthesizedMetadata, versionsOf } from '../handlers/metadata-synthesized';
import { targetOf } from '../upstream/relay';
import { invalidResponse, parsedAnswer, refusalOf } from '../upstream/infer';
import { isServing, routerAnswer } from '../handlers/model-list';
import { fetchMetadata } from '../handlers/metadata-proxied';
import { armSupport } from '../routing/supported-calls';
import { numberOf } from '../transcode/exact-json';
import { isJsonObject } from '../transcode/body-json';
import type { Plane } from '../handlers/request';
import { authenticated } from '../handlers/request';
import type { GrpcCall } from './grpc-call';
import type { GrpcResponse } from './model-infer';
import { baseFor, authorizedTarget, parseMessage, routeOf } from './model-infer';
import type { IndexEntry, ServerMetadataResponse, GrpcTensorMetadata } from './messages';
import {
  readIndexRequest,
  readModelReference,
  writeBool,
  writeIndex,
  writeModel,
  writeServer,
} from './messages';

// Metadata calls: they take no slot and are in no account.

type MetadataMethod = (
  plane: Plane,
  call: GrpcCall,
  message: Buffer,
) => GrpcResponse | Promise<GrpcResponse>;

export const serverLive: MetadataMethod = (plane, { exchange }) => {
  authenticated(plane, exchange);
  return { message: writeBool(true) };
};

export const serverReady: MetadataMethod = (plane, { exchange }) => {
  authenticated(plane, exchange);
  return { message: writeBool(plane.isReady()) };
};

export const serverMetadata: MetadataMethod = (plane, { exchange }) => {
  const caller = authenticated(plane, exchange);
  const route = { kind: 'v2_server', call: 'metadata' } as const;
  const about = routerAnswer(route, plane.table.current, caller, plane) as ServerMetadataResponse;
  // Binary tensors are a matter of HTTP.
  const extensions = about.extensions.filter((one) => one !== 'binary_tensor_data');
  return { message: writeServer({ ...about, extensions }) };
};

export const repositoryIndex: MetadataMethod = (plane, { exchange }, message) => {
  const caller = authenticated(plane, exchange);
  const { ready } = parseMessage(message, readIndexRequest);
  const route = { kind: 'v2_server', call: 'index' } as const;
  const all = routerAnswer(route, plane.table.current, caller, plane) as readonly IndexEntry[];
  return { message: writeIndex(all.filter(({ state }) => !ready || state === 'READY')) };
};

export const modelReady: MetadataMethod = (plane, call, message) => {
  const { model, arm, version } = authorizedTarget(
    plane,
    call,
    parseMessage(message, readModelReference),
  );
  return { message: writeBool(isServing(model, arm, version)) };
};

/** −1 is a size that is open. */
function sizeOf(value: unknown): number {
  const size = numberOf(value);
  return size !== undefined && Number.isSafeInteger(size) ? size : -1;
}

function tensorsOf(value: unknown): readonly GrpcTensorMetadata[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter(isJsonObject).map(({ name, datatype, shape }) => ({
    name: String(name),
    datatype: String(datatype),
    shape: Array.isArray(shape) ? shape.map(sizeOf) : [],
  }));
}

/** @throws Refusal when it is not V2 metadata */
function metadataOf(about: unknown, model: string) {
  const inputs = isJsonObject(about) ? tensorsOf(about['inputs']) : undefined;
  if (!isJsonObject(about) || inputs === undefined) throw invalidResponse(model);
  const platform = typeof about['platform'] === 'string' ? about['platform'] : '';
  return { platform, inputs, outputs: tensorsOf(about['outputs']) ?? [] };
}

export const modelMetadata: MetadataMethod = async (plane, call, message) => {
  const named = parseMessage(message, readModelReference);
  const choice = authorizedTarget(plane, call, named);
  const { caller, model, arm } = choice;
  const route = routeOf(named, 'metadata');
  const isOther = armSupport(model, route, arm) === 'none';
  const base = baseFor(plane, call, choice);
  const own = { name: model.id, versions: versionsOf(model, caller) };
  if (isOther) {
    const { metadata, origin } = await synthesizedMetadata(plane, route, base, caller);
    return { message: writeModel({ ...metadataOf(metadata, model.id), ...own }), origin };
  }
  const found = await fetchMetadata(plane.upstream, base, route, targetOf(route, ''));
  const { status, fields } = found.answered;
  if (status >= 300) throw refusalOf({ status, fields, body: found.body }, model.id);
  const origin = { arm: found.arm.name, version: found.replica.version };
  const about = metadataOf(parsedAnswer(found), model.id);
  return { message: writeModel({ ...about, ...own }), origin };
};
