import type { Protocol, Server } from '../../../lib/spec';
import type { ArmRoute, ModelRoute } from '../../core/table';
import { Refusal } from '../errors';
import type { Passing } from './forward';
import type { Route } from '../paths';

// Which calls reach which servers: as they are, or in other words.

type V1Call = Extract<Route, { kind: 'v1' }>['call'];
type V2Call = Extract<Route, { kind: 'v2' }>['call'];
type NativeCall = 'inference' | 'batch_inference';

/** Calls by the protocol of the caller. */
interface Calls {
  readonly native?: readonly NativeCall[];
  readonly v2?: readonly V2Call[];
  readonly v1?: readonly V1Call[];
  readonly openai?: readonly string[];
}

const NATIVE: Calls = { native: ['inference', 'batch_inference'] };
/** Readiness is the router's own answer, whatever the server is. */
const V2: Calls = { v2: ['infer', 'metadata'] };
const TFS: Calls = { v1: ['predict', 'classify', 'regress', 'status', 'metadata'] };
const OPENAI: Calls = {
  openai: ['chat/completions', 'completions', 'embeddings', 'responses'],
};

/** The allow-list: what each kind of server has. Sources: the manuals of each. */
const BY_KIND: Readonly<Record<Exclude<Server['kind'], 'custom'>, Calls>> = {
  onnx: { ...NATIVE, ...V2, v1: ['predict', 'status', 'metadata'] },
  'tensorflow-serving': TFS,
  triton: V2,
  mlserver: V2,
  vllm: OPENAI,
};

/** A server of one's own may have all that its protocol has. */
const BY_PROTOCOL: Readonly<Record<Protocol, Calls>> = {
  native: NATIVE,
  v2: V2,
  v1: { v1: ['predict', 'explain', 'classify', 'regress', 'status', 'metadata'] },
  tfs: TFS,
  openai: OPENAI,
};

/** Calls that are put in other words, or answered by the router, by the protocol of the server. */
const TRANSLATED: Readonly<Record<Protocol, Calls>> = {
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

const callsOf = ({ server, protocol }: ArmRoute): Calls =>
  server.kind === 'custom' ? BY_PROTOCOL[protocol] : BY_KIND[server.kind];

function has(calls: Calls, route: Passing): boolean {
  switch (route.kind) {
    case 'v2':
      return calls.v2?.includes(route.call) === true;
    case 'v1':
      return calls.v1?.includes(route.call) === true;
    default:
      return calls.openai?.includes(route.call) === true;
  }
}

/** Does the server understand this very call as it is? */
export function speaks(arm: ArmRoute, route: Passing): boolean {
  return has(callsOf(arm), route);
}

/** Can the call be put in the server's words? */
export function translates(arm: ArmRoute, route: Passing): boolean {
  return has(TRANSLATED[arm.protocol], route);
}

/** The arms that may be chosen: the one named, or those with a share. */
function armsInPlay({ arms, shares }: ModelRoute, named: string | undefined): readonly ArmRoute[] {
  const names = named === undefined ? shares.map(({ arm }) => arm) : [named];
  return names.flatMap((name) => arms.get(name) ?? []);
}

/** Whether some, all or none of the arms that may be chosen understand the call as it is. */
export type Understood = 'all' | 'some' | 'none';

/**
 * @param named the arm asked for by name
 * @throws Refusal when no arm that may be chosen can be told the call
 */
export function understood(model: ModelRoute, route: Passing, named?: string): Understood {
  const { shares, arms } = model;
  const speaksNamed = (name: string): boolean => {
    const arm = arms.get(name);
    return arm !== undefined && speaks(arm, route);
  };
  // Nearly always, so nothing is gathered for it.
  const all =
    named === undefined ? shares.every(({ arm }) => speaksNamed(arm)) : speaksNamed(named);
  if (all) return 'all';
  const inPlay = armsInPlay(model, named);
  if (inPlay.some((one) => speaks(one, route))) return 'some';
  if (inPlay.some((one) => translates(one, route))) return 'none';
  throw notOffered(model.id, inPlay[0], route);
}

/** Does an arm that may be chosen speak this protocol? */
export function isSpoken(model: ModelRoute, protocol: Protocol, named?: string): boolean {
  return armsInPlay(model, named).some((arm) => arm.protocol === protocol);
}

const V1_ACTIONS = new Set<V1Call>(['predict', 'classify', 'regress', 'explain']);

function textsOf(id: string, { native = [], v2 = [], v1 = [], openai = [] }: Calls) {
  return [
    ...native.map((call) => `POST /api/v1/models/${id}/${call}`),
    ...v2.map((call) =>
      call === 'infer' ? `POST /v2/models/${id}/infer` : `GET /v2/models/${id}`,
    ),
    ...v1.map((call) => {
      if (V1_ACTIONS.has(call)) return `POST /v1/models/${id}:${call}`;
      return call === 'status' ? `GET /v1/models/${id}` : `GET /v1/models/${id}/metadata`;
    }),
    ...openai.map((call) => `POST /openai/v1/${call}`),
  ];
}

/** What a model does not offer, and what it does. */
export function notOffered(id: string, arm: ArmRoute | undefined, route: Passing): Refusal {
  const { kind, call } = route;
  if (arm === undefined) {
    return new Refusal('INVALID_REQUEST', `model ${id} has no arm that could answer ${call}`);
  }
  const { server, protocol } = arm;
  const own = textsOf(id, callsOf(arm));
  const more = textsOf(id, TRANSLATED[protocol]).filter((text) => !own.includes(text));
  const what = server.kind === 'custom' ? `a server that speaks ${protocol}` : server.kind;
  return new Refusal(
    'INVALID_REQUEST',
    `model ${id} runs on ${what}, which has no ${call} (${kind}); it has ${[...own, ...more].join(', ')}`,
  );
}
