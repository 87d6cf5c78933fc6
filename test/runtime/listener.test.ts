import { createServer } from 'node:http';
import { parseConfig } from '../../runtime/config';
import type { Listener } from '../../runtime/listener';
import { dispatchTo, listen } from '../../runtime/listener';
import { ask, sendRaw } from '../support/plane';

const { server: SERVER } = parseConfig('server: { max_header_bytes: 2048, headers_seconds: 1 }');

let open: Listener | undefined;
afterEach(() => open?.close(0));

test('a port that is taken is said in one sentence', async () => {
  open = await listen({ server: SERVER, port: 0, handle: (_, response) => response.end() });
  await expect(
    listen({ server: SERVER, port: open.port, handle: (_, response) => response.end() }),
  ).rejects.toThrow(`127.0.0.1:${open.port}: something listens there already; choose another`);
});

test('answers tell clients to go once the end has begun', async () => {
  open = await listen({ server: SERVER, port: 0, handle: (_, response) => response.end('ok') });
  const request = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
  open.beginClose();
  expect(await sendRaw(open.port, request)).toMatch(/connection: close/i);
});

test('requests without a host, with too large heads or with nonsense are refused', async () => {
  open = await listen({ server: SERVER, port: 0, handle: (_, response) => response.end('ok') });
  const status = async (raw: string): Promise<string> =>
    (await sendRaw((open as Listener).port, raw)).slice(9, 12);
  expect(await status('GET / HTTP/1.1\r\nconnection: close\r\n\r\n')).toBe('400');
  expect(await status('nonsense\r\n\r\n')).toBe('400');
  const long = 'a'.repeat(2_100);
  expect(await status(`GET / HTTP/1.1\r\nhost: x\r\nx: ${long}\r\n\r\n`)).toBe('431');
});

test('inference paths go to the data plane, all others to management', async () => {
  const seen: string[] = [];
  const data = {
    matches: (path: string) => path.startsWith('/v2'),
    handle: (exchange: { answer: (status: number, headers: string[], body: string) => void }) => {
      seen.push('data');
      exchange.answer(200, [], '');
      return Promise.resolve();
    },
  };
  const server = createServer(
    dispatchTo(
      data as never,
      ((_: unknown, response: { end: () => void }) => ({ answer: () => response.end() })) as never,
      (_, response) => {
        seen.push('management');
        response.end();
      },
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await ask(port, '/v2/models/iris?x=/docs');
  await ask(port, '/docs?x=/v2');
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  expect(seen).toEqual(['data', 'management']);
});
