import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { filePathOf } from '../../lib/spec';
import type { Entry } from './entry';
import { SourceError } from './entry';
import { lastSegment } from './safe-path';

/**
 * A local file with the interface of a remote source, so that the rest of the loader treats both
 * alike.
 */
export function fileEntry(uri: string): Entry {
  const path = filePathOf(uri);
  const open: Entry['open'] = async ({ range = '' }) => {
    const { size } = await stat(path).catch(() => {
      throw new SourceError(`${path}: no such file; check the URI`);
    });
    const start = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
    if (start > 0 && start >= size) {
      return new Response(null, { status: 416, headers: { 'content-range': `bytes */${size}` } });
    }
    const body = Readable.toWeb(createReadStream(path, { start })) as ReadableStream;
    const headers = { 'content-length': String(size - start) };
    if (start === 0) return new Response(body, { headers });
    const place = { 'content-range': `bytes ${start}-${size - 1}/${size}` };
    return new Response(body, { status: 206, headers: { ...headers, ...place } });
  };
  return { path: lastSegment(path), open };
}
