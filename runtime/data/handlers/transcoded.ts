import type { CallOptions, BufferedResponse } from '../upstream/call';
import type { TranscodedCallbacks, ResponseBody, Encoding } from '../upstream/transcoded-call';
import { relayTranscoded } from '../upstream/transcoded-call';
import type { RelayedResponse, ProxiedRoute } from '../upstream/relay';
import { typeLine } from '../upstream/headers';
import type { LiveAnswer } from '../shadow/mirror';
import { collectCopy, isMirrored, mirroredRequest } from '../shadow/mirror';
import { hasProtocol } from '../routing/supported-calls';
import type { Plane, Request } from './request';
import { send } from './request';
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

/** Decodes a buffered response and sends it. @param onSent called with the sent body */
export function sendDecoded(
  request: Request,
  reply: BufferedResponse,
  encoding: Encoding,
  onSent: (body: ResponseBody) => void = () => undefined,
): void {
  const sendBody = (body: ResponseBody): void => {
    const origin = { arm: reply.arm.name, version: reply.replica.version };
    send(request, body, origin, { type: typeLine(encoding.type) });
    onSent(body);
  };
  try {
    const body = encoding.read(reply);
    if (body instanceof Promise) body.then(sendBody).catch(request.fail);
    else sendBody(body);
  } catch (error) {
    request.fail(error);
  }
}

function transcodeAndRelay(plane: Plane, request: Request, call: TranscodableCall): void {
  const { inferring, limits, shadows } = plane;
  const { exchange, tracing, fail } = request;
  const { route, base, target, rawBody } = call;
  const isCopied = isMirrored(route, base);
  const copy = (live: LiveAnswer): void => {
    if (!isCopied) return;
    shadows.mirror(mirroredRequest(inferring, call, live), base, tracing.requestId);
  };
  const callbacks: TranscodedCallbacks = {
    failed: fail,
    relayed: (relayed: RelayedResponse | undefined) => {
      if (relayed !== undefined && relayed.status < 300) copy(relayed);
    },
    buffered: (reply, encoding) => sendDecoded(request, reply, encoding, copy),
  };
  const collect = isCopied ? collectCopy(limits.shadowBytes) : undefined;
  const relayOptions = { target, body: rawBody, tracing, collect };
  relayTranscoded(inferring, base, exchange, relayOptions, callbacks, encoderOf(inferring, call));
}
