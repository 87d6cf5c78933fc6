import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { until } from './plane';

// Both ends of a request whose body is on its way: bytes go and come when a test says so.

const open = new Set<Socket>();
const servers = new Set<Server>();

/** Ends all that tests started; for `afterEach`. */
export async function stopUploads(): Promise<void> {
  for (const socket of open) socket.destroy();
  open.clear();
  const all = [...servers];
  servers.clear();
  await Promise.all(all.map((one) => new Promise((resolve) => one.close(resolve))));
}

/** A model server on a bare socket. */
export interface Replica {
  readonly port: number;
  /** All that came, of all connections. */
  readonly bytes: () => number;
  readonly text: () => string;
  readonly connections: () => number;
  readonly last: () => Socket;
  readonly say: (bytes: string) => void;
}

/** @param onSocket before anything is read */
export async function startReplica(
  onSocket: (socket: Socket) => void = () => undefined,
): Promise<Replica> {
  const pieces: Buffer[] = [];
  const sockets: Socket[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.push(socket);
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => (connections -= 1));
    socket.on('data', (bytes: Buffer) => pieces.push(bytes));
    onSocket(socket);
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const last = (): Socket => {
    const socket = sockets.at(-1);
    if (socket === undefined) throw new Error('no caller has connected');
    return socket;
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    bytes: () => pieces.reduce((sum, { length }) => sum + length, 0),
    text: () => Buffer.concat(pieces).toString('latin1'),
    connections: () => connections,
    last,
    say: (bytes) => void last().write(bytes, 'latin1'),
  };
}

/** A caller that sends piece by piece, as fast as it is read. */
export interface Uploader {
  readonly socket: Socket;
  readonly text: () => string;
  readonly send: (bytes: Buffer | string) => Promise<void>;
  /** Until the answer has these words. */
  readonly hears: (words: string) => Promise<void>;
  readonly isClosed: () => boolean;
}

export function startUploader(port: number): Uploader {
  const socket = connect(port, '127.0.0.1');
  open.add(socket);
  let text = '';
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (isClosed = true));
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  return {
    socket,
    text: () => text,
    isClosed: () => isClosed,
    hears: (words) => until(() => text.includes(words), `"${words}" in "${text.slice(0, 300)}"`),
    send: (bytes) =>
      new Promise((resolve) => {
        const over = (): void => {
          socket.off('drain', over);
          socket.off('close', over);
          resolve();
        };
        if (socket.write(bytes) || socket.destroyed) return resolve();
        socket.on('drain', over);
        socket.on('close', over);
      }),
  };
}

export interface Framed {
  readonly path?: string;
  readonly version?: string;
  readonly headers?: string;
}

/** The head of a POST; `length` undefined: in chunks. */
export function headOf(
  length: number | undefined,
  { path = '/v2/models/iris/infer', version = '1.1', headers = '' }: Framed = {},
): string {
  const framing = length === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`;
  return `POST ${path} HTTP/${version}\r\nHost: x\r\n${headers}${framing}\r\n\r\n`;
}

export function chunked(bytes: Buffer): Buffer {
  const head = Buffer.from(`${bytes.length.toString(16)}\r\n`);
  return Buffer.concat([head, bytes, Buffer.from('\r\n')]);
}

export const LAST = '0\r\n\r\n';
