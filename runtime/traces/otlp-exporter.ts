import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:http';
import { Agent, request as requestHttp, validateHeaderName, validateHeaderValue } from 'node:http';
import { Agent as TlsAgent, request as requestHttps } from 'node:https';
import type { HrTime, SpanContext } from '@opentelemetry/api';
import { SpanKind as OtelKind, SpanStatusCode } from '@opentelemetry/api';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { Resource } from '@opentelemetry/resources';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { SpanKind } from '../shared/spans';
import type { ExportResult } from './span-queue';
import type { EndedSpan } from './tracer';

export interface ExporterOptions {
  /** http or https; without a path: `/v1/traces`. */
  readonly endpoint: string;
  /** A line `name: value` for each header. */
  readonly headersFile: string | undefined;
  /** PEM. */
  readonly caFile: string | undefined;
  readonly serviceName: string;
  readonly instance: string;
  readonly version: string;
}

/** https://opentelemetry.io/docs/specs/otlp/#failures-1: the others are final. */
const RETRYABLE = new Set([429, 502, 503, 504]);
/** An answer has the number of rejected spans; a longer one is not read. */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_HEADERS_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_SECONDS = 30;

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  internal: OtelKind.INTERNAL,
  server: OtelKind.SERVER,
  client: OtelKind.CLIENT,
};

/** Seconds and nanoseconds. */
const hrTimeOf = (us: number): HrTime => [Math.floor(us / 1e6), (us % 1e6) * 1000];

function contextOf({ traceId, flags }: EndedSpan, spanId: string, isRemote = false): SpanContext {
  return { traceId, spanId, traceFlags: flags, isRemote };
}

/** A span as the serializer of OpenTelemetry reads it. */
function readable(span: EndedSpan, resource: Resource, version: string): ReadableSpan {
  const { spanId, parent, name, kind, startUs, endUs, attributes, error } = span;
  const own = contextOf(span, spanId);
  const code = error === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR;
  return {
    name,
    kind: KINDS[kind],
    spanContext: () => own,
    ...(parent && { parentSpanContext: contextOf(span, parent.spanId, parent.isRemote) }),
    startTime: hrTimeOf(startUs),
    endTime: hrTimeOf(endUs),
    duration: hrTimeOf(endUs - startUs),
    ended: true,
    status: { code },
    attributes: Object.fromEntries(attributes),
    links: [],
    events: [],
    resource,
    instrumentationScope: { name: 'ai-model-service', version },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** The lines of a headers file. @throws Error that names the line, never its text */
export function parseHeaders(text: string): Readonly<Record<string, string>> {
  if (text.length > MAX_HEADERS_BYTES) {
    throw new Error(
      `has more than ${MAX_HEADERS_BYTES} characters; write one line for each header`,
    );
  }
  const headers = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new Error(`line ${index + 1} is not a header; write name: value`);
    }
    headers.set(name, value);
  }
  return Object.fromEntries(headers);
}

async function headersOf(file: string | undefined): Promise<Readonly<Record<string, string>>> {
  return file === undefined ? {} : parseHeaders(await readFile(file, 'utf8'));
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** Undefined: it was too long. */
  readonly body: Buffer | undefined;
}

/** Rejects when there is no answer in time. */
function post(url: URL, options: RequestOptions, body: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const sent = send(url, { ...options, method: 'POST' }, (answer) => {
      const pieces: Buffer[] = [];
      let length = 0;
      const status = answer.statusCode ?? 0;
      const retryAfter = answer.headers['retry-after'];
      answer.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length <= MAX_ANSWER_BYTES) return void pieces.push(piece);
        resolve({ status, retryAfter, body: undefined });
        answer.destroy();
      });
      answer.on('end', () => resolve({ status, retryAfter, body: Buffer.concat(pieces) }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Spans that the collector says it rejected; an answer that cannot be read says nothing. */
function rejectedIn(body: Buffer | undefined): number {
  if (body === undefined || body.length === 0) return 0;
  try {
    const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(body);
    const rejected = Number(partialSuccess?.rejectedSpans ?? 0);
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0;
  } catch {
    return 0;
  }
}

function resultOf({ status, retryAfter, body }: Answer, count: number): ExportResult {
  if (status >= 200 && status < 300) {
    return { kind: 'done', rejected: Math.min(count, rejectedIn(body)) };
  }
  const why = `the collector answered ${status}`;
  if (!RETRYABLE.has(status)) return { kind: 'failed', why };
  // A date is not read: the pause between attempts is as good.
  const seconds = /^\d{1,9}$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
  if (seconds === undefined) return { kind: 'retry', why };
  return { kind: 'retry', why, afterMs: Math.min(seconds, MAX_RETRY_AFTER_SECONDS) * 1000 };
}

/** The code of an error, or its name: a message may quote a header. */
function whyOf(error: unknown): string {
  const { code, name, message, path } = error as NodeJS.ErrnoException;
  if (name === 'TimeoutError' || code === 'ABORT_ERR')
    return 'the collector did not answer in time';
  if (path !== undefined) return `${code}: ${path}`;
  return code ?? message;
}

/** Sends spans to a collector: OTLP over HTTP, as protocol buffers. */
export function createOtlpExporter(options: ExporterOptions) {
  const { endpoint, headersFile, caFile, serviceName, instance, version } = options;
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  const resource = resourceFromAttributes({
    'service.name': serviceName,
    'service.version': version,
    'service.instance.id': instance,
  });
  const kept = { keepAlive: true, maxSockets: 1 };
  const agent = url.protocol === 'https:' ? new TlsAgent(kept) : new Agent(kept);
  const send = async (spans: readonly EndedSpan[], timeoutMs: number): Promise<ExportResult> => {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const ca = caFile === undefined ? undefined : await readFile(caFile);
      const headers = {
        'user-agent': `ai-model-service/${version}`,
        ...(await headersOf(headersFile)),
        'content-type': 'application/x-protobuf',
      };
      const body = ProtobufTraceSerializer.serializeRequest(
        spans.map((span) => readable(span, resource, version)),
      );
      if (body === undefined) return { kind: 'failed', why: 'the spans cannot be serialized' };
      const own = { agent, headers, signal, ...(ca !== undefined && { ca }) };
      return resultOf(await post(url, own, body), spans.length);
    } catch (error) {
      return { kind: 'retry', why: whyOf(error) };
    }
  };
  return { send, close: (): void => agent.destroy() };
}
