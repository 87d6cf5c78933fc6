import { createServer } from 'node:http';

// A model server that speaks native and V2: `replica.ts PORT MILLISECONDS`. A line on standard input
// sets how long an answer takes from then on. An item that says `bad` is refused; SIGTERM lets what
// runs end.

const [port = 0, milliseconds = 0] = process.argv.slice(2).map(Number);
let serviceMs = milliseconds;
process.stdin.on('data', (bytes) => {
  serviceMs = Number(String(bytes).trim().split('\n').at(-1));
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
    const send = (): void => {
      const text = answerTo(request.url ?? '', body);
      const length = String(Buffer.byteLength(text));
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
      response.end(text);
    };
    if (request.method === 'GET' || serviceMs === 0) send();
    else setTimeout(send, serviceMs);
  });
});

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setInterval(() => server.closeIdleConnections(), 5);
});
server.listen(port, '127.0.0.1', () => console.log('up'));
