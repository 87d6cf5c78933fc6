import type { CallBase, Reply } from '../upstream/call';
import type { Crossed, ToldBody, Way } from '../upstream/transcoded-call';
import { cross } from '../upstream/transcoded-call';
import type { Passed, Passing } from '../upstream/relay';
import { typeLine } from '../upstream/headers';
import type { LiveAnswer } from '../shadow/mirror';
import { collecting, isMirrored, mirrored } from '../shadow/mirror';
import { isSpoken } from '../routing/supported-calls';
import type { Plane, Request } from './request';
import { send } from './request';
import type { Phrased } from '../upstream/encoding';
import { phrased, waysOf } from '../upstream/encoding';

/** A call that no arm understands as it is: what is wrong with it is said before anybody waits. */
export async function answerTranslated(
  plane: Plane,
  request: Request,
  route: Passing,
  base: CallBase,
  target: string,
  body: Buffer,
): Promise<void> {
  const call = phrased(plane, request, route, base, target, body);
  const spoken = await call.spoken();
  // Rows of tensors are one run of the model, as where they pass; items are not.
  const items = isSpoken(base.model, 'native', base.arm) ? spoken.items : 1;
  goAround(plane, request, { ...call, base: { ...base, items } });
}

/** A call that some arms understand as it is: those get it so, the others in their words. */
export function answerMixed(
  plane: Plane,
  request: Request,
  route: Passing,
  base: CallBase,
  target: string,
  body: Buffer,
): void {
  goAround(plane, request, phrased(plane, request, route, base, target, body));
}

/** Gives the caller an answer that was read. @param told called with what it got */
export function tellWhole(
  request: Request,
  reply: Reply,
  way: Way,
  told: (body: ToldBody) => void = () => undefined,
): void {
  const tell = (body: ToldBody): void => {
    const origin = { arm: reply.arm.name, version: reply.replica.version };
    send(request, body, origin, { type: typeLine(way.type) });
    told(body);
  };
  try {
    const body = way.read(reply);
    if (body instanceof Promise) body.then(tell).catch(request.fail);
    else tell(body);
  } catch (error) {
    request.fail(error);
  }
}

function goAround(plane: Plane, request: Request, call: Phrased): void {
  const { inferring, limits, shadows } = plane;
  const { exchange, tracing, fail } = request;
  const { route, base, target, raw } = call;
  const isCopied = isMirrored(route, base);
  const copy = (live: LiveAnswer): void => {
    if (!isCopied) return;
    shadows.mirror(mirrored(inferring, call, live), base, tracing.requestId);
  };
  const crossed: Crossed = {
    failed: fail,
    passed: (passed: Passed | undefined) => {
      if (passed !== undefined && passed.status < 300) copy(passed);
    },
    whole: (reply, way) => tellWhole(request, reply, way, copy),
  };
  const collect = isCopied ? collecting(limits.shadowBytes) : undefined;
  const forwarding = { target, body: raw, tracing, collect };
  cross(inferring, base, exchange, forwarding, crossed, waysOf(inferring, call));
}
