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
import type { Call } from './grpc-call';
import type { Told } from './model-infer';
import { baseFor, chosen, read, routeOf } from './model-infer';
import type { IndexEntry, ServerMetadata, TensorMetadata } from './messages';
import {
  readIndexRequest,
  readNamed,
  writeFlag,
  writeIndex,
  writeModel,
  writeServer,
} from './messages';

// Questions about the server and its models: they take no slot and stand in no account.

type Lookup = (plane: Plane, call: Call, message: Buffer) => Told | Promise<Told>;

export const serverLive: Lookup = (plane, { exchange }) => {
  authenticated(plane, exchange);
  return { message: writeFlag(true) };
};

export const serverReady: Lookup = (plane, { exchange }) => {
  authenticated(plane, exchange);
  return { message: writeFlag(plane.isReady()) };
};

export const serverMetadata: Lookup = (plane, { exchange }) => {
  const caller = authenticated(plane, exchange);
  const route = { kind: 'v2_server', call: 'metadata' } as const;
  const about = routerAnswer(route, plane.table.current, caller, plane) as ServerMetadata;
  // Binary tensors are a matter of HTTP.
  const extensions = about.extensions.filter((one) => one !== 'binary_tensor_data');
  return { message: writeServer({ ...about, extensions }) };
};

export const repositoryIndex: Lookup = (plane, { exchange }, message) => {
  const caller = authenticated(plane, exchange);
  const { ready } = read(message, readIndexRequest);
  const route = { kind: 'v2_server', call: 'index' } as const;
  const all = routerAnswer(route, plane.table.current, caller, plane) as readonly IndexEntry[];
  return { message: writeIndex(all.filter(({ state }) => !ready || state === 'READY')) };
};

export const modelReady: Lookup = (plane, call, message) => {
  const { model, arm, version } = chosen(plane, call, read(message, readNamed));
  return { message: writeFlag(isServing(model, arm, version)) };
};

/** −1 is a size that is open. */
function sizeOf(value: unknown): number {
  const size = numberOf(value);
  return size !== undefined && Number.isSafeInteger(size) ? size : -1;
}

function tensorsOf(value: unknown): readonly TensorMetadata[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter(isJsonObject).map(({ name, datatype, shape }) => ({
    name: String(name),
    datatype: String(datatype),
    shape: Array.isArray(shape) ? shape.map(sizeOf) : [],
  }));
}

/** @throws Refusal when it is no metadata of V2 */
function metadataOf(about: unknown, model: string) {
  const inputs = isJsonObject(about) ? tensorsOf(about['inputs']) : undefined;
  if (!isJsonObject(about) || inputs === undefined) throw invalidResponse(model);
  const platform = typeof about['platform'] === 'string' ? about['platform'] : '';
  return { platform, inputs, outputs: tensorsOf(about['outputs']) ?? [] };
}

export const modelMetadata: Lookup = async (plane, call, message) => {
  const named = read(message, readNamed);
  const choice = chosen(plane, call, named);
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
