import { meaningOf } from '../../core/routing/batching';
import { HEAD_LENGTH } from '../../shared/binary';
import type { CallOptions, UpstreamContext, CallOutcome, BufferedResponse } from '../upstream/call';
import { BufferedCall } from '../upstream/call';
import type { HttpResponse, HeaderText, BodySource } from '../http/exchange';
import { endToEnd, filterOf } from '../upstream/headers';
import { fieldsOf } from '../http/fields';
import { CallerSignal } from '../http/server/caller-signal';
import type { BatchMember } from '../dispatch/job';
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

class BatchCall extends BufferedCall {
  constructor(
    calling: UpstreamContext,
    base: CallOptions,
    ask: ConstructorParameters<typeof BufferedCall>[2],
    end: (ended: CallOutcome) => void,
    private readonly more: () => HeaderText,
  ) {
    super(calling, base, ask, end);
  }

  protected override get headers(): HeaderText {
    return this.base.headers + this.more();
  }
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
  const [
    {
      request: { codec, target },
    },
  ] = all as readonly [BatchEntry];
  for (const entry of all) {
    entry.member.onCallerGone(() => {
      left.delete(entry);
      if (left.size === 0) signal.abort();
    });
  }
  // Entries sent in the current attempt, without callers that went away before.
  let sent: readonly BatchEntry[] = [];
  let message: Message = { body: Buffer.alloc(0), jsonBytes: undefined };
  let sentAt = 0;
  const compare = (pairs: readonly AnsweredEntry[], version: string, done: Done): void => {
    const [first] = pairs;
    const remainingMs = (first?.entry.member.deadline ?? 0) - now();
    // Do not compare when little time is left.
    if (!isCompared || remainingMs < 4 * (now() - sentAt)) return done(true);
    compareWithSingleCalls(calling, pairs.slice(0, COMPARED_MEMBERS), version, now, done);
  };
  const ask = () => {
    if (sentAt === 0) sentAt = now();
    sent = [...left];
    message = codec.join(sent.map(({ request }) => request.splice));
    return { method: 'POST', target, body: message.body };
  };
  const end = (ended: CallOutcome): void =>
    distribute({ ended, all, sent, sentAt, onEnd, compare });
  const base = baseOf(all, signal, now());
  calling.dispatcher.start(new BatchCall(calling, base, ask, end, () => lengthLine(message)));
}

interface Distribution {
  readonly ended: CallOutcome;
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

/** What it is alone; undefined: it cannot be onEnd now. */
function isSameAlone(
  { entry: { request }, own }: AnsweredEntry,
  ended: CallOutcome,
  version: string,
): boolean | undefined {
  if (ended.kind !== 'reply' || ended.reply.replica.version !== version) return undefined;
  const { status } = ended.reply;
  if (status >= 300) return status >= 400 && status < 500 && status !== 429 ? false : undefined;
  const message = messageOf(ended.reply);
  const alone = message && request.codec.split(message, [request.splice])?.[0];
  return alone && isSameAnswer(request.codec, own, alone);
}

function compareWithSingleCalls(
  calling: UpstreamContext,
  pairs: readonly AnsweredEntry[],
  version: string,
  now: () => number,
  done: Done,
): void {
  let waiting = pairs.length;
  let isSame = true;
  if (waiting === 0) return done(true);
  for (const pair of pairs) {
    const { request } = pair.entry;
    const message = request.codec.join([request.splice]);
    const ask = () => ({ method: 'POST', target: request.target, body: message.body });
    const end = (ended: CallOutcome): void => {
      isSame &&= orUndefined(() => isSameAlone(pair, ended, version)) ?? true;
      waiting -= 1;
      if (waiting === 0) done(isSame);
    };
    const base = baseOf([pair.entry], new CallerSignal(), now());
    calling.dispatcher.start(new BatchCall(calling, base, ask, end, () => lengthLine(message)));
  }
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

const mayBeSpoiled = ({ result }: Extract<CallOutcome, { kind: 'none' }>): boolean =>
  result.kind === 'failed' && SPOILED.has(result.result.kind);

function distribute(on: Distribution): void {
  const { ended, all, onEnd } = on;
  if (ended.kind === 'reply') return distributeReply(on, ended);
  if (mayBeSpoiled(ended)) {
    onEnd('refused', undefined);
    return sendApart(all);
  }
  onEnd('shared', undefined);
  for (const { member } of all) member.fail(ended.result);
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

function distributeReply(
  { all, sent, sentAt, onEnd, compare }: Distribution,
  { reply, tries }: Extract<CallOutcome, { kind: 'reply' }>,
): void {
  const { replica } = reply;
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
