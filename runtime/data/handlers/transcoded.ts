import type { CallOptions } from '../upstream/call';
import type { ProxiedRoute } from '../upstream/relay';
import { relay } from '../upstream/relay';
import { mirrorOf } from '../shadow/mirror';
import { hasProtocol } from '../routing/supported-calls';
import type { Plane, Request } from './request';
import type { TranscodableCall } from '../upstream/encoding';
import { transcodableCall, encoderOf } from '../upstream/encoding';

/** A call that no arm supports unchanged: it is validated before it waits in a queue. */
export async function answerTranscoded(
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  body: Buffer,
): Promise<void> {
  const call = transcodableCall(plane, request, route, base, target, body);
  const transcoder = await call.transcoder();
  // Rows of a tensor are one run of the model; native items are one run each.
  const items = hasProtocol(base.model, 'native', base.arm) ? transcoder.items : 1;
  transcodeAndRelay(plane, request, { ...call, base: { ...base, items } });
}

/** A call that some arms support: those get it unchanged, the others transcoded. */
export function answerMixed(
  plane: Plane,
  request: Request,
  route: ProxiedRoute,
  base: CallOptions,
  target: string,
  body: Buffer,
): void {
  transcodeAndRelay(plane, request, transcodableCall(plane, request, route, base, target, body));
}

function transcodeAndRelay(plane: Plane, request: Request, call: TranscodableCall): void {
  const { inferring } = plane;
  const { exchange, tracing, fail: failed } = request;
  const { route, base, rawBody } = call;
  const mirror = mirrorOf(plane, request, route, base, () => call);
  const options = { tracing, failed, bytes: rawBody.length, ...mirror };
  relay(inferring, base, exchange, options, encoderOf(inferring, call));
}
