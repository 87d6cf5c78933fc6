import { TensorFault } from '../../shared/binary';
import { BodyTooLarge } from '../../shared/body';
import { NotUtf8, textOf } from '../../shared/utf8';
import type { ArmRoute, ModelRoute } from '../../core/table';
import type { Asked, CallBase, Reply } from '../call/calling';
import { callBuffered } from '../call/calling';
import { modelOf, namedBy } from '../choose';
import { Refusal } from '../errors';
import { targetOf } from '../call/forward';
import type { Passing } from '../call/forward';
import type { Origin } from '../headers';
import { JSON_TYPE, withoutHeaders } from '../headers';
import { knowing, noAnswer, refusalOf } from '../call/infer';
import { notOffered, speaks, translates, understood } from '../call/offers';
import { datatypeOf } from '../protocols/datatypes';
import { readElements } from '../protocols/elements';
import { bounded } from '../protocols/json';
import type { Said } from '../protocols/spoken';
import { v2Spoken } from '../protocols/spoken';
import { v2ToNative } from '../protocols/v2';
import type { Plane } from '../request';
import { authenticated, baseOf } from '../request';
import type { Answer } from './answer';
import { readAnswer } from './answer';
import type { Call } from './call';
import type { Extensions } from './extensions';
import type { InferRequest, Named } from './messages';
import { readInfer, readNamed, writeInfer } from './messages';
import type { Tensor } from './v2';
import { askV2, invalid, requestOf, tensorsOf } from './v2';

// ModelInfer: the steps of an HTTP call, with other messages around them.

export interface Inference {
  readonly plane: Plane;
  readonly extensions: Extensions;
}

/** A message for a caller, and who answered. */
export interface Told {
  readonly message: Buffer;
  readonly origin?: Origin;
}

/** Reads a message. @throws Refusal when it is none */
export function read<T>(message: Buffer, reader: (message: Buffer) => T): T {
  try {
    return reader(message);
  } catch (error) {
    throw invalid(error);
  }
}

export function routeOf({ name, version }: Named, call: 'infer' | 'metadata') {
  return { kind: 'v2', model: name, version: version || undefined, call } as const;
}

/** Who asks is allowed to use the model, and the arm it names, if any. @throws Refusal */
export function chosen(plane: Plane, { exchange }: Call, { name, version }: Named) {
  const caller = authenticated(plane, exchange, name);
  const model = modelOf(plane.table, name);
  return { caller, model, ...namedBy(exchange, model, caller, version || undefined) };
}

type Chosen = Omit<ReturnType<typeof chosen>, 'caller'>;

/** The caller's deadline shortens the model's own. */
export function baseFor(plane: Plane, call: Call, { model, arm, version }: Chosen) {
  const base = baseOf(plane, call, model, { arm, version }, true);
  const left = Math.max(1, call.deadline - plane.clock.now());
  // What is sent, and so its type, differs from server to server.
  const headers = withoutHeaders(base.headers, (name) => name === 'content-type');
  return { ...base, headers, timeoutMs: Math.min(base.timeoutMs, left) };
}

interface Asking {
  readonly route: Extract<Passing, { kind: 'v2' }>;
  readonly request: InferRequest;
  readonly tensors: readonly Tensor[];
}

/**
 * The call for a server that speaks V2.
 * @param isBinary undefined: nobody knows, and JSON is what every server takes
 */
function askFor(model: ModelRoute, asking: Asking, isBinary?: boolean): Asked {
  const { route, request, tensors } = asking;
  try {
    return askV2(targetOf(route, ''), request, tensors, isBinary ?? false);
  } catch (error) {
    if (isBinary !== undefined) throw error;
    // It may well take it: that it does not answer is not the caller's fault.
    throw new Refusal(
      'UPSTREAM_ERROR',
      `model ${model.id} could not be asked whether it takes binary tensors; try again`,
    );
  }
}

/** What a server says of its inputs. */
type Known = Parameters<ReturnType<typeof v2Spoken>['say']>[1];

interface Done {
  readonly answer: Answer;
  readonly origin: Origin;
}

/** The call for a server that speaks something else, in its words. */
function sayFor(arm: ArmRoute, { id, inference }: ModelRoute, asking: Asking, known: Known): Said {
  const { route, request, tensors } = asking;
  if (!translates(arm, route)) throw notOffered(id, arm, route);
  const called = { id, maxBatchSize: inference.maxBatchSize };
  return bounded(() => v2Spoken(called, requestOf(request, tensors)).say(arm, known));
}

function readOf(reply: Reply, said: Said | undefined): Answer | undefined {
  if (said === undefined) return readAnswer(reply.fields, reply.body);
  const told = said.read(textOf(reply.body), reply.replica.version);
  return told === undefined ? undefined : readAnswer({ get: () => undefined }, Buffer.from(told));
}

async function infer(
  { plane, extensions }: Inference,
  base: CallBase,
  asking: Asking,
): Promise<Done> {
  const { model, signal } = base;
  let said: Said | undefined;
  const reply = await callBuffered(plane.inferring, base, (attempt) => {
    said = undefined;
    if (!speaks(attempt.arm, asking.route)) {
      return knowing(plane.inferring, base, attempt, (known): Asked => {
        said = sayFor(attempt.arm, model, asking, known);
        const body = Buffer.from(said.body);
        return { method: 'POST', target: said.target, body, headers: JSON_TYPE };
      });
    }
    const put = (isBinary?: boolean): Asked => askFor(model, asking, isBinary);
    const isBinary = extensions.isBinary(model.id, attempt, signal);
    return isBinary instanceof Promise ? isBinary.then(put) : put(isBinary);
  });
  if (reply.status >= 300) throw refusalOf(reply, model.id);
  const origin = { arm: reply.arm.name, version: reply.replica.version };
  try {
    const answer = readOf(reply, said);
    if (answer !== undefined) return { answer, origin };
  } catch (error) {
    const isTheirs = [TensorFault, SyntaxError, NotUtf8].some((kind) => error instanceof kind);
    throw isTheirs && error instanceof Error ? noAnswer(model.id, error.message) : error;
  }
  throw noAnswer(model.id);
}

/** What the outputs say, for comparison; undefined when they cannot be read. */
function comparable({ answer }: Done): unknown {
  try {
    const outputs = answer.outputs.map(({ name, shape, datatype, raw }) => {
      return { name, shape, data: readElements(raw, datatype) };
    });
    return v2ToNative({ outputs })?.output;
  } catch (error) {
    if (error instanceof TensorFault) return undefined;
    throw error;
  }
}

function mirror(
  inference: Inference,
  base: CallBase,
  asking: Asking,
  done: Done,
  { tracing }: Call,
): void {
  // Asked for by name is a test of that arm; only what the split decided is compared.
  if (base.arm !== undefined || base.model.shadows.length === 0) return;
  const bytes = asking.tensors.reduce((sum, { raw }) => sum + raw.length, 0);
  const live = (): readonly unknown[] | undefined => {
    const output = comparable(done);
    return output === undefined ? undefined : [output];
  };
  const ask = async (own: CallBase) => [comparable(await infer(inference, own, asking))];
  inference.plane.shadows.mirror({ bytes, live, ask }, base, tracing.requestId);
}

/** Raw when the request was, or when an output has no typed form. */
function isRawAnswer({ raw }: InferRequest, { outputs }: Answer): boolean {
  return raw.length > 0 || outputs.some(({ datatype }) => datatypeOf(datatype).kind === 'half');
}

/** @throws Refusal, BodyTooLarge, CallerGone */
export async function modelInfer(inference: Inference, call: Call, message: Buffer): Promise<Told> {
  const { plane } = inference;
  // Model and version stand where other requests have them, and say how large the rest may be.
  const named = read(message, readNamed);
  const choice = chosen(plane, call, named);
  const { model, arm } = choice;
  const { maxBodyBytes } = model.inference;
  if (message.length > maxBodyBytes) throw new BodyTooLarge(maxBodyBytes);
  const route = routeOf(named, 'infer');
  understood(model, route, arm);
  const request = read(message, readInfer);
  const asking: Asking = { route, request, tensors: tensorsOf(request, maxBodyBytes) };
  const base = baseFor(plane, call, choice);
  const done = await infer(inference, base, asking);
  const { answer, origin } = done;
  mirror(inference, base, asking, done, call);
  const own = { name: model.id, version: origin.version };
  return { message: writeInfer(own, answer, isRawAnswer(request, answer)), origin };
}
