import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SHAPES, shortText } from './shapes';

// A model server that answers with the shape that is asked for: {"input_data":{"answer":…}}.

const MAX_ORDER_BYTES = 1024;
/** An answer that each protocol can be made of. */
const USUAL = Buffer.from('{"result":{"text":"1","embedding":[1]},"confidence":1}');

interface Wanted {
  readonly shape: string;
  readonly pieceBytes: number;
}

function wantedBy(body: Buffer): Wanted | undefined {
  if (body.length > MAX_ORDER_BYTES) return undefined;
  const { input_data: data } = JSON.parse(body.toString()) as { input_data?: { answer?: Wanted } };
  return data?.answer;
}

const made = new Map<string, Buffer>();

const answerOf = (shape: string): Buffer =>
  Buffer.concat([
    Buffer.from('{"confidence":1,"result":'),
    SHAPES[shape]?.() ?? shortText(),
    Buffer.from('}'),
  ]);

const server = createServer((asked, response) => {
  const chunks: Buffer[] = [];
  let size = 0;
  asked.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_ORDER_BYTES) chunks.push(chunk);
  });
  asked.on('end', () => {
    response.setHeader('content-type', 'application/json');
    const wanted = size > 0 && size <= MAX_ORDER_BYTES && wantedBy(Buffer.concat(chunks));
    if (!wanted) return void response.end(asked.method === 'GET' ? '{}' : USUAL);
    const answer = made.get(wanted.shape) ?? answerOf(wanted.shape);
    made.set(wanted.shape, answer);
    for (let at = 0; at < answer.length; at += wanted.pieceBytes) {
      response.write(answer.subarray(at, at + wanted.pieceBytes));
    }
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
