import { meaningOf } from '../../core/routing/batching';
import { HEAD_LENGTH } from '../../shared/binary';
import type {
  BufferedResponse,
  CallOptions,
  UpstreamContext,
  UpstreamRequest,
} from '../upstream/call';
import { BufferedReceiver, callBuffered, UpstreamCall } from '../upstream/call';
import type { HttpResponse, HeaderText, BodySource } from '../http/exchange';
import { endToEnd, filterOf } from '../upstream/headers';
import { fieldsOf } from '../http/fields';
import { CallerSignal } from '../http/server/caller-signal';
import type { BatchMember, UnansweredResult } from '../dispatch/job';
import { isSameAnswer } from './compare-alone';
import type { Splice, Message } from './splice';
import type { BatchCodec } from './codecs';

// One upstream call for several requests.

/** A request encoded for a batch. */
export interface BatchableRequest {
  /** Only requests with the same key are batched. */
  readonly key: string;
  readonly splice: Splice;
  /** Size of its body. */
  readonly bytes: number;
  readonly codec: BatchCodec;
  readonly target: string;
  /** Headers of the batch call. */
  readonly headers: HeaderText;
}

/** A request in a batch. */
export interface BatchEntry {
  readonly member: BatchMember;
  readonly request: BatchableRequest;
  readonly base: CallOptions;
}

/** Result of a batch call. `different`: a request sent alone got another answer. */
export type BatchEnd = 'split' | 'refused' | 'unsplit' | 'different' | 'shared';

/** The request of one attempt for several requests. */
interface BatchRequest extends UpstreamRequest {
  /** Entries in it, without those whose callers went away before. */
  readonly sent: readonly BatchEntry[];
}

const lengthLine = ({ jsonBytes }: Message): HeaderText =>
  jsonBytes === undefined ? '' : `${HEAD_LENGTH}: ${jsonBytes}\r\n`;

/** A body source with these bytes. */
function sourceOf(bytes: Buffer): BodySource {
  let resume: () => void = () => undefined;
  let destroy: () => void = () => undefined;
  return {
    flow: (sink) => {
      const last = (call: () => void) => (): void => {
        resume = () => undefined;
        destroy = resume;
        call();
      };
      const end = last(() => sink.end());
      destroy = last(() => sink.fail({ kind: 'aborted' }));
      if (bytes.length === 0 || sink.data(bytes)) end();
      else resume = end;
    },
    resume: () => resume(),
    destroy: () => destroy(),
  };
}

/** Headers of the batch answer that are valid for each request. */
const PER_ENTRY_FIELDS = filterOf(
  (name) => name !== 'content-length' && name !== HEAD_LENGTH && name !== 'set-cookie',
);

/** The answer for one request, as if it had been sent alone. */
function answeredOf({ status, fields }: BufferedResponse, message: Message): HttpResponse {
  const kept = endToEnd(fields, PER_ENTRY_FIELDS);
  const own = `${kept}content-length: ${message.body.length}\r\n${lengthLine(message)}`;
  return {
    kind: 'answered',
    status,
    fields: fieldsOf(`${own}\r\n`, 0),
    body: sourceOf(message.body),
  };
}

/** A body that can be spliced; undefined: it is compressed or its header length is invalid. */
export function messageOf({
  fields,
  body,
}: Pick<BufferedResponse, 'fields' | 'body'>): Message | undefined {
  if (fields.get('content-encoding') !== undefined) return undefined;
  const length = fields.get(HEAD_LENGTH);
  if (length === undefined) return { body, jsonBytes: undefined };
  const jsonBytes = /^\d{1,15}$/.test(length) ? Number(length) : Infinity;
  return jsonBytes <= body.length ? { body, jsonBytes } : undefined;
}

/** Options of the batch call: one job of its own, without an outcome. */
function baseOf(entries: readonly BatchEntry[], signal: CallerSignal, now: number): CallOptions {
  const [{ base, request, member }] = entries as readonly [BatchEntry];
  const deadline = Math.min(...entries.map((one) => one.member.deadline));
  return {
    model: base.model,
    arm: member.arm.name,
    priority: base.priority,
    timeoutMs: Math.max(0, deadline - now),
    items: entries.reduce((sum, one) => sum + one.request.splice.rows, 0),
    signal,
    headers: request.headers,
    isBatchCall: true,
  };
}

/** The request of one attempt for these entries; `first` names target and codec of all. */
function requestOf(
  { headers }: CallOptions,
  { codec, target }: BatchableRequest,
  sent: readonly BatchEntry[],
): BatchRequest {
  const message = codec.join(sent.map(({ request }) => request.splice));
  const { body } = message;
  return { method: 'POST', target, body, headers: headers + lengthLine(message), sent };
}

/** Sends one call for several requests of one key, and distributes its answer. */
export function sendBatch(
  calling: UpstreamContext,
  all: readonly BatchEntry[],
  now: () => number,
  /** Sends some requests alone as well and compares, before answering. */
  isCompared: boolean,
  onEnd: (end: BatchEnd, version: string | undefined) => void,
): void {
  const signal = new CallerSignal();
  const left = new Set(all);
  const [{ request: first }] = all as readonly [BatchEntry];
  for (const entry of all) {
    entry.member.onCallerGone(() => {
      left.delete(entry);
      if (left.size === 0) signal.abort();
    });
  }
  let sentAt = 0;
  const compare = (pairs: readonly AnsweredEntry[], version: string, done: Done): void => {
    const remainingMs = (pairs[0]?.entry.member.deadline ?? 0) - now();
    // Do not compare when little time is left.
    if (!isCompared || remainingMs < 4 * (now() - sentAt)) return done(true);
    void areSameAlone(calling, pairs.slice(0, COMPARED_MEMBERS), version, now).then(done);
  };
  const base = baseOf(all, signal, now());
  const encode = (): BatchRequest => {
    if (sentAt === 0) sentAt = now();
    return requestOf(base, first, [...left]);
  };
  const receiver = new BufferedReceiver<BatchRequest>(
    (reply, { sent }) => distribute({ reply, all, sent, sentAt, onEnd, compare }),
    (result) => distributeFailure(result, all, onEnd),
  );
  calling.dispatcher.start(base, new UpstreamCall(calling, base, encode, receiver));
}

interface Distribution {
  readonly reply: BufferedResponse;
  readonly all: readonly BatchEntry[];
  readonly sent: readonly BatchEntry[];
  readonly sentAt: number;
  readonly onEnd: (end: BatchEnd, version: string | undefined) => void;
  readonly compare: (pairs: readonly AnsweredEntry[], version: string, done: Done) => void;
}

/** A request with its part of the batch answer. */
interface AnsweredEntry {
  readonly entry: BatchEntry;
  readonly own: Message;
}

type Done = (isSame: boolean) => void;

/** Requests of a batch call that are sent alone as well, for comparison. */
const COMPARED_MEMBERS = 4;

/** Undefined: the reply to the request sent alone proves nothing. */
function isSameAlone(
  { entry: { request }, own }: AnsweredEntry,
  reply: BufferedResponse,
  version: string,
): boolean | undefined {
  if (reply.replica.version !== version) return undefined;
  const { status } = reply;
  if (status >= 300) return status >= 400 && status < 500 && status !== 429 ? false : undefined;
  const message = messageOf(reply);
  const alone = message && request.codec.split(message, [request.splice])?.[0];
  return alone && isSameAnswer(request.codec, own, alone);
}

async function areSameAlone(
  calling: UpstreamContext,
  pairs: readonly AnsweredEntry[],
  version: string,
  now: () => number,
): Promise<boolean> {
  const compared = pairs.map(async (pair): Promise<boolean> => {
    const { entry } = pair;
    const base = baseOf([entry], new CallerSignal(), now());
    try {
      const { reply } = await callBuffered(calling, base, () =>
        requestOf(base, entry.request, [entry]),
      );
      return isSameAlone(pair, reply, version) ?? true;
    } catch {
      return true;
    }
  });
  return (await Promise.all(compared)).every(Boolean);
}

/** Undefined if it throws: an unreadable answer must not leave callers waiting. */
function orUndefined<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function sendApart(entries: readonly BatchEntry[]): void {
  for (const { member } of entries) member.sendAlone(true);
}

/** One request may have caused it: a crashed server, an answer too large, or too deep to join. */
const SPOILED: ReadonlySet<string> = new Set(['reset', 'protocol', 'rejected']);

function distributeFailure(
  result: UnansweredResult,
  all: readonly BatchEntry[],
  onEnd: Distribution['onEnd'],
): void {
  if (result.kind === 'failed' && SPOILED.has(result.result.kind)) {
    onEnd('refused', undefined);
    return sendApart(all);
  }
  onEnd('shared', undefined);
  for (const { member } of all) member.fail(result);
}

/** JSON above this size is not split: it blocks the event loop for about 10 ms per MiB. */
const MAX_ANSWER_JSON_BYTES = 4 * 1024 * 1024;

function splitReply(
  reply: BufferedResponse,
  sent: readonly BatchEntry[],
): ReturnType<BatchCodec['split']> {
  const message = messageOf(reply);
  if ((message?.jsonBytes ?? reply.body.length) > MAX_ANSWER_JSON_BYTES) return undefined;
  const [first] = sent;
  const splices = sent.map(({ request }) => request.splice);
  return orUndefined(() => message && first?.request.codec.split(message, splices));
}

function distribute({ reply, all, sent, sentAt, onEnd, compare }: Distribution): void {
  const { replica, tries } = reply;
  const meaning = meaningOf(reply.status);
  const give = ({ member }: BatchEntry, message: Message): void =>
    member.deliver({ replica, answered: answeredOf(reply, message), tries, sentAt });
  if (meaning === 'shared') {
    onEnd('shared', replica.version);
    const whole = { body: reply.body, jsonBytes: undefined };
    return all.forEach((entry) => give(entry, whole));
  }
  const answers = meaning === 'split' ? splitReply(reply, sent) : undefined;
  if (answers === undefined) {
    onEnd(meaning === 'split' ? 'unsplit' : 'refused', replica.version);
    return sendApart(all);
  }
  const pairs = sent.flatMap((entry, at) => {
    const own = answers[at];
    return own === undefined ? [] : [{ entry, own }];
  });
  compare(pairs, replica.version, (isSame) => {
    onEnd(isSame ? 'split' : 'different', replica.version);
    if (!isSame) return sendApart(all);
    for (const { entry, own } of pairs) give(entry, own);
    sendApart(sent.filter((_, at) => answers[at] === undefined));
  });
}
