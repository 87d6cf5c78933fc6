import { createServer } from 'node:http';

// A model server that speaks native and V2: `replica.ts PORT MILLISECONDS`. Lines on standard input,
// `takes MILLISECONDS` and `answers STATUS`, hold from then on; `GET /seen` tells what was asked. An
// item that says `bad` is refused; SIGTERM lets what runs end.

const [port = 0, milliseconds = 0] = process.argv.slice(2).map(Number);
let serviceMs = milliseconds;
let status = 200;
let asked = 0;
const gone: number[] = [];
process.stdin.on('data', (bytes) => {
  for (const line of String(bytes).trim().split('\n')) {
    const [what, value] = line.split(' ');
    if (what === 'takes') serviceMs = Number(value);
    else status = Number(value);
  }
});

interface Item {
  readonly input_data?: { readonly bad?: boolean };
}

const RESULT = { result: { y: 1 }, confidence: 1 };
const resultOf = (item: Item): object =>
  item.input_data?.bad === true ? { error: 'bad item' } : RESULT;

const V2 = JSON.stringify({
  model_name: 'm',
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 3], data: [0.1, 0.2, 0.7] }],
});

function answerTo(url: string, body: string): string {
  if (url === '/seen') return JSON.stringify({ asked, gone });
  if (url.startsWith('/v2/')) return V2;
  if (!url.startsWith('/batch_inference')) return JSON.stringify(RESULT);
  const { requests } = JSON.parse(body) as { readonly requests: readonly Item[] };
  return JSON.stringify({ results: requests.map(resultOf) });
}

const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
  let body = '';
  request.on('data', (bytes) => {
    body += String(bytes);
  });
  request.on('end', () => {
    const isCall = request.method === 'POST';
    if (isCall) asked += 1;
    response.on('close', () => {
      if (!response.writableFinished) gone.push(performance.timeOrigin + performance.now());
    });
    const send = (): void => {
      const text = answerTo(request.url ?? '', body);
      const length = String(Buffer.byteLength(text));
      response.writeHead(isCall ? status : 200, {
        'content-type': 'application/json',
        'content-length': length,
      });
      response.end(text);
    };
    if (!isCall || serviceMs === 0) send();
    else setTimeout(send, serviceMs);
  });
});

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setInterval(() => server.closeIdleConnections(), 5);
});
server.listen(port, '127.0.0.1', () => console.log('up'));
