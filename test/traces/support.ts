import type { IncomingHttpHeaders } from 'node:http';
import { ProtobufReader } from '../../runtime/data/grpc/protobuf';
import type { Backend, Behave } from '../support/backend';
import { startBackend } from '../support/backend';

/** A span as a collector reads it. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** `''`: none. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  readonly durationUs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
  /** Of its resource. */
  readonly service: string;
}

function* fields(
  bytes: Buffer,
): Generator<readonly [field: number, value: Buffer, varint: number]> {
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    const { field, type } = reader;
    const value = reader.value();
    yield [field, value, type === 0 ? reader.low : 0];
  }
}

const all = (bytes: Buffer, wanted: number): Buffer[] =>
  [...fields(bytes)].filter(([field]) => field === wanted).map(([, value]) => value);

const one = (bytes: Buffer, wanted: number): Buffer => all(bytes, wanted)[0] ?? Buffer.alloc(0);

function attributesOf(pairs: readonly Buffer[]): Record<string, string | number> {
  const entries = pairs.map((pair) => {
    const [[field, value, varint] = [0, Buffer.alloc(0), 0]] = [...fields(one(pair, 2))];
    return [one(pair, 1).toString(), field === 1 ? value.toString() : varint] as const;
  });
  return Object.fromEntries(entries);
}

function spanOf(span: Buffer, service: string): ReceivedSpan {
  const [, , kind = 0] = [...fields(span)].find(([field]) => field === 6) ?? [];
  const [, , code = 0] = [...fields(one(span, 15))].find(([field]) => field === 3) ?? [];
  const [start, end] = [one(span, 7).readBigUInt64LE(), one(span, 8).readBigUInt64LE()];
  return {
    traceId: one(span, 1).toString('hex'),
    spanId: one(span, 2).toString('hex'),
    parentId: one(span, 4).toString('hex'),
    name: one(span, 5).toString(),
    kind,
    durationUs: Number(end - start) / 1000,
    attributes: attributesOf(all(span, 9)),
    isError: code === 2,
    service,
  };
}

/** The spans of an ExportTraceServiceRequest. */
function spansIn(body: Buffer): ReceivedSpan[] {
  return all(body, 1).flatMap((resourceSpans) => {
    const service = String(attributesOf(all(one(resourceSpans, 1), 1))['service.name']);
    return all(resourceSpans, 2).flatMap((scope) =>
      all(scope, 2).map((span) => spanOf(span, service)),
    );
  });
}

/** A collector of OTLP over HTTP. */
export interface Collector {
  readonly backend: Backend;
  readonly spans: () => readonly ReceivedSpan[];
  readonly headers: () => readonly IncomingHttpHeaders[];
  /** All that was exported. */
  readonly bytes: () => string;
}

export async function startCollector(behave: Behave = () => ({ kind: 'answer' })) {
  const backend = await startBackend(behave);
  return {
    backend,
    spans: () => backend.seen.flatMap(({ body }) => spansIn(body)),
    headers: () => backend.seen.map(({ headers }) => headers),
    bytes: () => Buffer.concat(backend.seen.map(({ body }) => body)).toString('latin1'),
  } satisfies Collector;
}
