import type { IncomingMessage } from 'node:http';
import type { KubeStatus } from './api-response';
import { parseJson, statusError } from './api-response';
import type { KubeObject, WatchEvent } from './api';
import { KubeError, networkError } from './api-error';

/** etcd stores up to 1.5 MiB per object; JSON with managed fields is a few times larger. */
const MAX_LINE_CHARS = 32 * 1024 * 1024;

interface Line {
  readonly type: string;
  readonly object: KubeObject & KubeStatus;
}

const CHANGES: ReadonlySet<string> = new Set(['ADDED', 'MODIFIED', 'DELETED']);

/** @throws KubeError with the status of an ERROR event */
function eventOf(what: string, line: string): WatchEvent {
  const { type, object } = parseJson(what, line) as unknown as Line;
  if (type === 'BOOKMARK') return { type, resourceVersion: object.metadata.resourceVersion ?? '' };
  if (type === 'ERROR') throw statusError(what, object);
  if (CHANGES.has(type)) return { type: type as 'ADDED' | 'MODIFIED' | 'DELETED', object };
  throw new KubeError('network', `${what}: a watch event of unknown type ${type}`);
}

/** The complete lines of each chunk. */
async function* linesOf(answer: IncomingMessage): AsyncGenerator<readonly string[]> {
  let rest = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield lines;
    if (rest.length > MAX_LINE_CHARS) throw new Error('a watch event is too long');
  }
  if (rest !== '') throw new Error('the watch ended within an event');
}

/** Reads a watch to its end: one event per line. */
export async function readEvents(
  what: string,
  answer: IncomingMessage,
  onEvent: (event: WatchEvent) => void,
): Promise<void> {
  try {
    for await (const lines of linesOf(answer))
      for (const line of lines) onEvent(eventOf(what, line));
  } catch (error) {
    throw networkError(what, error);
  }
}
