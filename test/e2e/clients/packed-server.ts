import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';

// A small V2 server that takes and gives gzip, for the suite. The built-in one, behind it, does the
// work; it packs no answers itself.

export interface PackedServer {
  readonly address: string;
  /** One entry for each call: was its body packed, and its answer? */
  readonly calls: { readonly there: boolean; readonly back: boolean }[];
  /** Calls that their caller gave up before they had an answer. */
  readonly left: () => number;
  readonly close: () => Promise<void>;
}

const LENGTH = 'inference-header-content-length';

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const kept = ['content-type', LENGTH].map((name) => [name, headers[name]] as const);
  return Object.fromEntries(
    kept.filter((one): one is [string, string] => typeof one[1] === 'string'),
  );
}

/** @param behind a server with a model `floats` */
export async function startPacked(behind: string): Promise<PackedServer> {
  const calls: { there: boolean; back: boolean }[] = [];
  let left = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '/', headers } = request;
    if (url === '/health') return void response.end();
    const there = headers['content-encoding'] === 'gzip';
    const back = /gzip/.test(String(headers['accept-encoding'] ?? ''));
    const raw = await bodyOf(request);
    calls.push({ there, back });
    const body = there ? gunzipSync(raw) : raw;
    if (body.includes('"id":"never"')) {
      response.on('close', () => void (left += 1));
      return;
    }
    const answered = await fetch(behind + url.replace('/packed', '/floats'), {
      method,
      headers: headersOf(request),
      ...(method === 'POST' && { body }),
    });
    const own = [...answered.headers].filter(([name]) => /^(content-type|inference)/.test(name));
    const whole = Buffer.from(await answered.arrayBuffer());
    response.writeHead(answered.status, {
      ...Object.fromEntries(own),
      ...(back && { 'content-encoding': 'gzip' }),
    });
    response.end(back ? gzipSync(whole) : whole);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    left: () => left,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
