// Bodies and answers of nine megabytes, one of each shape.

const MIB = 1024 * 1024;
const BODY_BYTES = 9 * MIB;

function filled(begin: string, piece: (at: number) => string, end: string): Buffer {
  const parts = [begin];
  let size = begin.length + end.length;
  for (let at = 0; size < BODY_BYTES; at += 1) {
    const own = (at === 0 ? '' : ',') + piece(at);
    parts.push(own);
    size += own.length;
  }
  return Buffer.from(parts.join('') + end);
}

export const SHAPES: Readonly<Record<string, () => Buffer>> = {
  'many names': () => filled('{', (at) => `"${at.toString(16)}":1`, '}'),
  'many numbers': () => filled('[', (at) => `${at % 1000}`, ']'),
  'many floats': () => filled('[', (at) => `${at % 100}.0`, ']'),
  'many lists': () => filled('[', () => '[]', ']'),
  'many objects': () => filled('[', (at) => `{"a":${at % 10}}`, ']'),
  'many texts': () => filled('[', () => String.raw`"\u00e9"`, ']'),
  'one long text': () => Buffer.from(`"${'a'.repeat(BODY_BYTES)}"`),
  depth: () => Buffer.from('['.repeat(BODY_BYTES / 2) + ']'.repeat(BODY_BYTES / 2)),
  'open lists': () => Buffer.from('['.repeat(BODY_BYTES)),
};

/** Of a text that comes byte by byte. */
const SHORT_BYTES = 200_000;

export const shortText = (): Buffer => Buffer.from(`"${'a'.repeat(SHORT_BYTES)}"`);

const V2_TENSOR = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":';

/** Each call with a place for a shape. */
export const CALLS: Readonly<Record<string, readonly [path: string, begin: string, end: string]>> =
  {
    native: ['/api/v1/models/echo/inference', '{"input_data":{"x":', '}}'],
    'native, members': ['/api/v1/models/echo/inference', '{"x":', '}'],
    batch: ['/api/v1/models/echo/batch_inference', '{"requests":[{"input_data":{"x":', '}}]}'],
    V1: ['/v1/models/echo:predict', '{"instances":', '}'],
    V2: ['/v2/models/echo/infer', V2_TENSOR, '}]}'],
    chat: ['/openai/v1/chat/completions', '{"model":"echo","messages":', '}'],
    embeddings: ['/openai/v1/embeddings', '{"model":"echo","input":"a","x":', '}'],
    'V2, passed': ['/v2/models/passed/infer', V2_TENSOR, '}]}'],
    deploy: ['/api/v1/models/deploy', '{"config":', '}'],
  };

export function bodyOf(call: string, shape: string): Buffer {
  const [, begin, end] = CALLS[call] as (typeof CALLS)[string];
  return Buffer.concat([Buffer.from(begin), SHAPES[shape]?.() as Buffer, Buffer.from(end)]);
}
