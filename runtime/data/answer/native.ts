import { answerEvents, wantsEvents } from './events';
import type { ItemResult } from '../call/batch';
import { inferBatch, inferInTurn } from '../call/batch';
import type { CallBase } from '../call/calling';
import { modelOf, namedArm } from '../choose';
import { Refusal } from '../errors';
import { envelope } from './envelope';
import type { Exchange } from '../exchange';
import type { Inferred } from '../call/infer';
import { infer } from '../call/infer';
import type { ModelRoute } from '../../core/table';
import { nativeTogether } from '../joining/requests';
import { bodyText, parseText } from '../protocols/json';
import type { NativeCall, NativeItem } from '../protocols/native';
import { parseBatch, parseCall } from '../protocols/native';
import { outputValue, splicedCall } from '../protocols/splice';
import type { Plane, Request } from '../request';
import { authenticated, baseOf, objectOf, seconds, send, sendJson } from '../request';
import { timeWithin } from '../wishes';

// The native calls: one item, or a batch.

interface Said {
  readonly call: NativeCall;
  readonly bytes: number;
}

/** The call, by the short way if it is simple; at once if it is there. @throws Refusal with all that is wrong */
function saidBy(request: Request, model: ModelRoute): Said | Promise<Said> {
  const { exchange } = request;
  if (exchange.fields.get('content-encoding') !== undefined) return inflatedCall(request, model);
  const body = exchange.body(model.inference.maxBodyBytes);
  return Buffer.isBuffer(body) ? plainCall(body) : body.then(plainCall);
}

async function inflatedCall(request: Request, model: ModelRoute): Promise<Said> {
  const { value, bytes } = await objectOf(request, model);
  return { call: parseCall(value), bytes };
}

function plainCall(body: Buffer): Said {
  const text = bodyText(body);
  return { call: splicedCall(text) ?? parseCall(parseText(text)), bytes: body.length };
}

/** A body may ask for more time than the model's own, but a caller's deadline is a deadline. */
const timeOf = ({ fields }: Exchange, base: CallBase, asked: number | undefined): number =>
  asked === undefined ? base.timeoutMs : timeWithin(fields, asked);

export async function answerNative(plane: Plane, request: Request, id: string): Promise<void> {
  const { exchange, tracing } = request;
  const caller = authenticated(plane, exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(exchange, model, caller);
  const said = saidBy(request, model);
  const { call, bytes } = said instanceof Promise ? await said : said;
  const base = baseOf(plane, request, model, { arm, version: undefined }, true);
  const timed = {
    ...base,
    priority: call.priority ?? base.priority,
    timeoutMs: timeOf(exchange, base, call.timeoutMs),
  };
  if (wantsEvents(exchange, model, arm)) return answerEvents(plane, request, timed, call);
  const own = nativeTogether(plane.joiner, plane.inferring, timed, call);
  const done = await infer(plane.inferring, own, call);
  const body = envelope(request, id, done, plane.clock.now());
  send(request, body, done);
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (arm !== undefined || model.shadows.length === 0) return;
  const outputOf = (one: Inferred): unknown => outputValue(one.output);
  const ask = async (named: CallBase) => [outputOf(await infer(plane.inferring, named, call))];
  const mirrored = { bytes, live: () => [outputOf(done)], ask };
  plane.shadows.mirror(mirrored, timed, tracing.requestId);
}

const isInferred = (one: ItemResult): one is Inferred => !(one instanceof Refusal);

function itemBody(result: ItemResult): object {
  if (!(result instanceof Refusal)) {
    const { output, confidence, version } = result;
    return { output_data: output, confidence, model_version: version };
  }
  const { code, message, more } = result;
  return { error: { code, message, ...(more.details && { details: more.details }) } };
}

export async function answerBatch(plane: Plane, request: Request, id: string): Promise<void> {
  const caller = authenticated(plane, request.exchange, id);
  const model = modelOf(plane.table, id);
  const arm = namedArm(request.exchange, model, caller);
  const { value, bytes } = await objectOf(request, model);
  const { requests, timeoutMs } = parseBatch(value, model.inference.maxBatchSize);
  const own = baseOf(plane, request, model, { arm, version: undefined }, true);
  const base: CallBase = {
    ...own,
    timeoutMs: timeOf(request.exchange, own, timeoutMs),
    // One arm for the whole batch; without a key of the caller's the request is its own cohort.
    cohortKey: own.cohortKey ?? request.tracing.requestId,
  };
  const results = await inferBatch(plane.inferring, base, requests);
  const failed = results.filter((one) => one instanceof Refusal).length;
  const succeeded = results.length - failed;
  plane.onBatch(id, failed === 0 ? 'success' : succeeded === 0 ? 'error' : 'partial');
  const body = {
    request_id: request.tracing.requestId,
    model_id: id,
    results: results.map(itemBody),
    succeeded,
    failed,
    processing_time: seconds(plane.clock.now() - request.began),
  };
  sendJson(
    request,
    body,
    results.find((one) => isInferred(one)),
  );
  if (arm !== undefined || succeeded === 0) return;
  const answered = requests.filter((_, index) => !(results[index] instanceof Refusal));
  plane.shadows.mirror(
    {
      bytes,
      live: () => results.filter(isInferred).map(({ output }) => outputValue(output)),
      ask: async (named) => {
        const shadowed = await inferInTurn(plane.inferring, named, answered as NativeItem[]);
        return shadowed.map(({ output }) => outputValue(output));
      },
    },
    base,
    body.request_id,
  );
}
