import type { ArmRoute, ModelRoute } from '../../core/table';
import type { CallBase, Reply } from '../call/calling';
import type { Head, Way, WayTo } from '../call/crossing';
import { cross } from '../call/crossing';
import { envelope } from './envelope';
import { Refusal } from '../errors';
import type { Exchange } from '../exchange';
import { typeLine } from '../headers';
import { answerText, knowing, noAnswer, refusalOf } from '../call/infer';
import { isSpoken } from '../call/offers';
import type { Translated } from '../protocols';
import { openaiCall, translate } from '../protocols';
import type { NativeItem } from '../protocols/native';
import type { Plane, Request } from '../request';
import { send } from '../request';

// A native call whose answer is to come as events: as the model's server sends them.

const EVENTS = 'text/event-stream';

const takes = (accept: string, ...types: readonly string[]): boolean =>
  types.some((type) => accept.includes(type));

/** Would the caller take an answer that comes whole? */
const takesJson = ({ fields }: Exchange): boolean =>
  takes(fields.get('accept') ?? '', 'application/json', 'application/*', '*/*');

/** @throws Refusal when the caller takes nothing but events, and the model has none */
export function wantsEvents(exchange: Exchange, model: ModelRoute, named?: string): boolean {
  const accept = exchange.fields.get('accept');
  if (accept === undefined || !takes(accept, EVENTS)) return false;
  if (isSpoken(model, 'openai', named)) return true;
  if (takesJson(exchange)) return false;
  throw cannotStream(model.id);
}

function cannotStream(model: string): Refusal {
  return new Refusal(
    'INVALID_REQUEST',
    `Accept: got ${EVENTS}, but model ${model} cannot stream; accept application/json`,
  );
}

function isStream({ status, fields }: Head): boolean {
  return status < 300 && fields.get('content-type')?.includes(EVENTS) === true;
}

/** Errors, and servers that answer whole nevertheless, are read as ever. */
function wayOf(
  plane: Plane,
  request: Request,
  base: CallBase,
  { target, body, read }: Translated,
): Way {
  const { id } = base.model;
  return {
    asked: { method: 'POST', target, body: Buffer.from(body) },
    headers: base.headers,
    passes: isStream,
    type: 'application/json',
    read: (reply: Reply) => {
      if (reply.status >= 300) throw refusalOf(reply, id);
      const output = read(answerText(reply, id));
      if (output === undefined) throw noAnswer(id);
      const from = { arm: reply.arm.name, version: reply.replica.version };
      return envelope(request, id, { ...output, ...from }, plane.clock.now());
    },
  };
}

export function answerEvents(
  plane: Plane,
  request: Request,
  base: CallBase,
  item: NativeItem,
): void {
  const { inferring } = plane;
  const { exchange, tracing, fail } = request;
  const { id } = base.model;
  const put = (arm: ArmRoute, known?: Parameters<typeof translate>[3]): Way => {
    if (arm.protocol === 'openai') {
      return wayOf(plane, request, base, openaiCall(id, item, true));
    }
    if (!takesJson(exchange)) throw cannotStream(id);
    return wayOf(plane, request, base, translate(arm, id, item, known));
  };
  const wayTo: WayTo = (attempt) =>
    knowing(inferring, base, attempt, (known) => put(attempt.arm, known));
  const whole = (reply: Reply, way: Way): void => {
    try {
      const body = way.read(reply);
      const origin = { arm: reply.arm.name, version: reply.replica.version };
      send(request, body, origin, { type: typeLine(way.type) });
    } catch (error) {
      fail(error);
    }
  };
  const forwarding = { target: '', body: undefined, tracing };
  cross(inferring, base, exchange, forwarding, { failed: fail, whole }, wayTo);
}
