import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { ConnectionsByAddress } from '../../../../runtime/data';
import type { AddressLimit } from '../../../../runtime/data';
import { startPlane, stopPlanes, until } from '../../../support/plane';
import { startUploader, stopUploads } from '../../../support/uploads';

afterEach(async () => {
  await stopUploads();
  await stopPlanes();
});

/** A connection as the count sees it. */
class Caller extends EventEmitter {
  bytesRead = 0;
  isDestroyed = false;

  constructor(readonly remoteAddress: string) {
    super();
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

const limit = (max: number, ...exempt: string[]): AddressLimit => ({
  max,
  isExempt: (address) => exempt.includes(address),
});

function counting(own: AddressLimit) {
  const connections = new ConnectionsByAddress(own);
  const admit = (caller: Caller, now: number): boolean =>
    connections.admit(caller as unknown as Socket, now);
  return { connections, admit };
}

describe('connections of one address', () => {
  test('beyond the limit are refused and counted; another address is served', () => {
    const { connections, admit } = counting(limit(2));
    const all = ['a', 'a', 'a', 'b'].map((address) => admit(new Caller(address), 0));
    expect([all, connections.refused]).toEqual([[true, true, false, true], 1]);
  });

  test('free their place when they close', () => {
    const { admit } = counting(limit(1));
    const first = new Caller('a');
    admit(first, 0);
    first.destroy();
    expect(admit(new Caller('a'), 0)).toBe(true);
  });

  test('of a trusted proxy are not counted', () => {
    const { connections, admit } = counting(limit(1, 'proxy'));
    const all = [1, 2, 3].map(() => admit(new Caller('proxy'), 0));
    expect([all, connections.refused]).toEqual([[true, true, true], 0]);
  });

  test('that are silent make room, the oldest first; those with requests do not', () => {
    const { admit } = counting(limit(3));
    const [asked, silent, later] = [1, 2, 3].map(() => new Caller('a'));
    for (const one of [asked, silent, later]) admit(one as Caller, 0);
    (asked as Caller).bytesRead = 10;
    expect(admit(new Caller('a'), 999)).toBe(false);
    expect(admit(new Caller('a'), 1000)).toBe(true);
    expect([asked, silent, later].map((one) => one?.isDestroyed)).toEqual([false, true, false]);
  });

  test('of all addresses make room when all places are taken, if silent', () => {
    const { connections, admit } = counting(limit(10));
    const silent = new Caller('a');
    admit(silent, 0);
    connections.makeRoom(1000);
    expect(silent.isDestroyed).toBe(true);
  });
});

describe('on a real port', () => {
  test('a connection beyond the limit is refused at once', async () => {
    const connections = new ConnectionsByAddress(limit(2));
    const { port } = await startPlane({ connections });
    const kept = [startUploader(port), startUploader(port)];
    await Promise.all(kept.map(({ socket }) => until(() => !socket.connecting, 'connection')));
    await kept[0]?.send('GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await kept[0]?.hears(' 200 ');
    const third = startUploader(port);
    await third.hears('server.max_connections_per_address');
    expect(third.text()).toMatch(/^HTTP\/1.1 503 [^]*\r\nretry-after: \d/);
    await until(third.isClosed, 'the end');
    expect([connections.refused, kept.some((one) => one.isClosed())]).toEqual([1, false]);
  });

  test('a connection without a byte is closed after the header timeout', async () => {
    const { port } = await startPlane({ callers: { headMs: 50, keepAliveMs: 60_000 } });
    const silent = startUploader(port);
    await until(silent.isClosed, 'the end');
    expect(silent.text()).toBe('');
  });

  test('the timeout of a head begins with its first byte; a connection with a request stays', async () => {
    const { port } = await startPlane({ callers: { headMs: 1000, keepAliveMs: 60_000 } });
    const one = startUploader(port);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await one.send('GET /v2/health/live HTTP/1.1\r\n');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(one.isClosed()).toBe(false);
    await one.send('Host: x\r\n\r\n');
    await one.hears(' 200 ');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(one.isClosed()).toBe(false);
  });

  test('silent connections over the limit do not block other addresses', async () => {
    const connections = new ConnectionsByAddress(limit(50));
    const { port } = await startPlane({ connections });
    const silent = Array.from({ length: 200 }, () => startUploader(port));
    await until(() => connections.refused === 150, 'refusals');
    const other = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    other.write('GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    other.on('data', (bytes: Buffer) => (text += bytes.toString()));
    await new Promise((resolve) => other.on('close', resolve));
    expect(text).toContain(' 200 ');
    for (const { socket } of silent) socket.destroy();
  });
});
