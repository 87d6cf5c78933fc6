import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { drainable } from '../../runtime/shared/drain';

interface Ground {
  readonly drain: (limitMs: number) => Promise<void>;
  readonly dial: () => Promise<Line>;
  readonly port: number;
}

interface Line {
  readonly socket: Socket;
  readonly ask: () => void;
  /** All that came, once the other side has closed. */
  readonly all: Promise<string>;
}

const lines: Socket[] = [];
let server: Server;

afterEach(() => {
  lines.splice(0).forEach((socket) => socket.destroy());
  server.closeAllConnections();
  server.close();
});

async function dial(port: number): Promise<Line> {
  const socket = connect(port, '127.0.0.1');
  lines.push(socket);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  const all = new Promise<string>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  all.catch(() => undefined);
  await once(socket, 'connect');
  return { socket, ask: () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), all };
}

async function ground(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Ground> {
  server = createServer({ keepAliveTimeout: 60_000 }, handle);
  const drain = drainable(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { drain, dial: () => dial(port), port };
}

test('a running request is answered, then its connection is closed', async () => {
  let release: () => void = () => undefined;
  const { drain, dial: call } = await ground((_, response) => {
    release = () => response.end('late');
  });
  const line = await call();
  line.ask();
  await once(server, 'request');
  const drained = drain(60_000);
  await once(server, 'close', { signal: AbortSignal.timeout(200) }).catch(() => undefined);
  expect(lines[0]?.destroyed).toBe(false);
  release();
  await drained;
  expect(await line.all).toMatch(/late/);
});

test('a kept-alive connection and one without requests delay nothing', async () => {
  const { drain, dial: call } = await ground((_, response) => void response.end('ok'));
  const [idle, silent] = [await call(), await call()];
  idle.ask();
  await once(idle.socket, 'data');
  await drain(60_000);
  expect([await idle.all, await silent.all]).toEqual([expect.stringContaining('ok'), '']);
});

test('requests that arrived while the event loop was blocked are answered', async () => {
  const { drain, dial: call } = await ground((_, response) => void response.end('ok'));
  const kept = await call();
  kept.ask();
  await once(kept.socket, 'data');
  kept.ask();
  const fresh = Array.from({ length: 20 }, () => dial((server.address() as AddressInfo).port));
  const drained = drain(60_000);
  for (const end = Date.now() + 100; Date.now() < end;);
  const calls = await Promise.all(fresh);
  calls.forEach(({ ask }) => ask());
  await drained;
  expect((await kept.all).match(/200 OK/g)).toHaveLength(2);
  for (const { all } of calls) expect(await all).toMatch(/200 OK/);
});

test('connections left after the limit are cut, and new ones refused', async () => {
  const { drain, dial: call, port } = await ground(() => undefined);
  const line = await call();
  line.ask();
  await once(server, 'request');
  await drain(100);
  expect(await line.all).toBe('');
  await expect(dial(port)).rejects.toThrow('ECONNREFUSED');
});
