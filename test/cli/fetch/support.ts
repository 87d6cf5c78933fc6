import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FetchJob, FetchSurroundings } from '../../../cli/fetch/fetch';
import { fetchArtifact } from '../../../cli/fetch/fetch';

export const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
export const digest = (bytes: Buffer | string): string =>
  createHash('sha256').update(bytes).digest('hex');
export const SHA = digest(BYTES);

export interface Store {
  readonly url: string;
  /** Everything that was asked, in order. */
  readonly requests: readonly IncomingMessage[];
  readonly close: () => Promise<void>;
}

/** Where the stores of tests are. */
export const LOOPBACK = ['127.0.0.1'];

/** A store on loopback that answers as a test says. */
export async function store(answer: RequestListener, server?: Server): Promise<Store> {
  const requests: IncomingMessage[] = [];
  const listening = server ?? createServer();
  listening.on('request', (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((done) => listening.listen(0, '127.0.0.1', done));
  const scheme = server === undefined ? 'http' : 'https';
  return {
    url: `${scheme}://127.0.0.1:${(listening.address() as AddressInfo).port}`,
    requests,
    close: async () => {
      listening.closeAllConnections();
      await new Promise((done) => listening.close(done));
    },
  };
}

/** Answers as a store does that knows ranges, entity tags and conditions (RFC 9110). */
export function serveBytes(
  { headers }: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  etag?: string,
): void {
  const tags = etag === undefined ? {} : { etag };
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  const condition = headers['if-range'];
  if (from === 0 || (condition !== undefined && condition !== etag)) {
    response.writeHead(200, { ...tags, 'content-length': bytes.length }).end(bytes);
  } else if (from >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  } else {
    const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    const rest = bytes.subarray(from);
    const head = { ...tags, 'content-range': range, 'content-length': rest.length };
    response.writeHead(206, head).end(rest);
  }
}

export interface Place {
  readonly folder: string;
  readonly lines: readonly string[];
  readonly run: (
    job: Partial<FetchJob> & { uri: string },
    surroundings?: Partial<FetchSurroundings>,
  ) => Promise<void>;
  readonly read: (name: string) => Buffer;
  /** What lies in the folder, the marker and hidden files included. */
  readonly list: () => readonly string[];
  readonly remove: () => void;
}

/** A folder to load to, with the lines that were said. */
export function place(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'fetch-'));
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  return {
    folder,
    lines,
    run: (job, surroundings) =>
      fetchArtifact(
        { to: folder, allowHost: LOOPBACK, ...job },
        { env: {}, log, pauseMs: 1, ...surroundings },
      ),
    read: (name) => readFileSync(join(folder, name)),
    list: () => readdirSync(folder).sort(),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
