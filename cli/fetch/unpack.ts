import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { extract } from 'tar';
import { open } from 'yauzl';
import type { Entry as ZipEntry, ZipFile } from 'yauzl';
import { SourceError } from './entry';

function isInside(folder: string, path: string): boolean {
  const root = resolve(folder);
  return `${resolve(root, path)}${sep}`.startsWith(root + sep);
}

/** An archive must not write outside its folder ("zip slip"). */
export function inside(folder: string, path: string): string {
  if (isInside(folder, path)) return resolve(folder, path);
  throw new SourceError(`the artifact names a file outside its folder: ${path}; it is refused`);
}

const openZip = promisify<string, { lazyEntries: true }, ZipFile>(open);

async function unzip(file: string, folder: string): Promise<void> {
  const zip = await openZip(file, { lazyEntries: true });
  const read = promisify(zip.openReadStream.bind(zip)) as (
    entry: ZipEntry,
  ) => Promise<NodeJS.ReadableStream>;
  await new Promise<void>((done, fail) => {
    const one = async (entry: ZipEntry): Promise<void> => {
      if (!entry.fileName.endsWith('/')) {
        const target = inside(folder, entry.fileName);
        await mkdir(dirname(target), { recursive: true });
        await pipeline(await read(entry), createWriteStream(target));
      }
      zip.readEntry();
    };
    zip.on('entry', (entry: ZipEntry) => void one(entry).catch(fail));
    zip.on('end', done);
    zip.on('error', fail);
    zip.readEntry();
  }).finally(() => zip.close());
}

/** Unpacks a tar (also compressed with gzip) or a zip into a folder. Links are left out. */
export async function unpack(file: string, name: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (/\.zip$/i.test(name)) return unzip(file, folder);
  let outside: string | undefined;
  await extract({
    file,
    cwd: folder,
    strict: true,
    // An error thrown in here would be lost between streams.
    filter: (path, entry) => {
      if (!isInside(folder, path)) outside = path;
      return outside === undefined && !('type' in entry && entry.type.endsWith('Link'));
    },
  });
  if (outside !== undefined) inside(folder, outside);
}
