import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import type { Place } from './support';
import { place } from './support';

// Archives come from elsewhere: they may try to write elsewhere, or too much.

let here: Place;
let from: string;

beforeEach(() => {
  here = place();
  from = join(here.folder, 'from');
  mkdirSync(join(from, 'in'), { recursive: true });
});
afterEach(() => here.remove());

const tar = (...args: readonly string[]): void =>
  void execFileSync('tar', ['-czf', join(from, 'a.tar.gz'), '-C', from, ...args]);

const unpacked = (name = 'a.tar.gz', free?: number): Promise<void> =>
  here.run(
    { uri: `file://${from}/${name}`, to: join(here.folder, 'to'), unpack: true },
    free === undefined ? {} : { free: async () => free },
  );

interface Zipped {
  readonly name: string;
  readonly content: Buffer;
  /** Unix mode with its kind. */
  readonly mode?: number;
  /** Where the catalogue says another size than the truth. */
  readonly claimed?: number;
}

/** A zip file (APPNOTE 4.3) with what tools refuse to make. */
function zip(...files: readonly Zipped[]): void {
  const locals: Buffer[] = [];
  const catalogue: Buffer[] = [];
  let offset = 0;
  for (const { name, content, mode = 0o100644, claimed = content.length } of files) {
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(claimed, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    const made = Buffer.from([20, 3]);
    catalogue.push(Buffer.from('PK\x01\x02'), made, common, tail, Buffer.from(name));
    locals.push(local);
    offset += local.length;
  }
  const entries = Buffer.concat(catalogue);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(offset, 16);
  writeFileSync(join(from, 'a.zip'), Buffer.concat([...locals, entries, end]));
}

test('files get permissions with which every server can read them', async () => {
  writeFileSync(join(from, 'in/weights'), 'w', { mode: 0o600 });
  writeFileSync(join(from, 'in/run.sh'), 'r', { mode: 0o700 });
  mkdirSync(join(from, 'in/sub'), { mode: 0o700 });
  writeFileSync(join(from, 'in/sub/x'), 'x');
  tar('in');
  await unpacked();
  const mode = (name: string): number => statSync(join(here.folder, 'to/in', name)).mode & 0o7777;
  expect([mode('weights'), mode('run.sh'), mode('sub')]).toEqual([0o644, 0o755, 0o755]);
});

test('links, which could lead out of the folder, are left out and logged', async () => {
  symlinkSync('/etc', join(from, 'in/etc'));
  writeFileSync(join(from, 'in/x'), 'x');
  tar('in');
  await unpacked();
  expect(here.lines).toContain('a.tar.gz: in/etc is not a regular file; left out');
  expect(statSync(join(here.folder, 'to/in/etc'), { throwIfNoEntry: false })).toBeUndefined();
  expect(here.read('to/in/x').toString()).toBe('x');
});

test('a tar that grows a hundredfold is refused before it fills the disk', async () => {
  // Shrinks to a 200th: less than what the tar library itself takes for a bomb.
  writeFileSync(join(from, 'in/zeros'), Buffer.alloc(80 * 1024 * 1024, randomBytes(2048)));
  tar('in');
  await expect(unpacked()).rejects.toThrow(/grows from \d.* to more than 64\.0 MiB; it is refused/);
  expect(statSync(join(here.folder, 'to/in/zeros'), { throwIfNoEntry: false })).toBeUndefined();
}, 30_000);

test('an archive in which a file is also a folder is refused with both entries', async () => {
  writeFileSync(join(from, 'a'), 'x');
  mkdirSync(join(from, 'other/a'), { recursive: true });
  writeFileSync(join(from, 'other/a/b'), 'y');
  tar('a', '-C', 'other', 'a/b');
  const words =
    'a.tar.gz: "a" is a file, and "a/b" needs a folder of that name; a name is either a file or a folder';
  await expect(unpacked()).rejects.toThrow(words);
  zip({ name: 'a', content: Buffer.from('x') }, { name: 'a/b', content: Buffer.from('y') });
  await expect(unpacked('a.zip')).rejects.toThrow(words.replace('tar.gz', 'zip'));
});

test('an archive that does not fit on the disk is refused', async () => {
  writeFileSync(join(from, 'in/x'), Buffer.alloc(100_000));
  tar('in');
  await expect(unpacked('a.tar.gz', 50_000)).rejects.toThrow(/needs more than the 48\.8 KiB/);
});

test('a zip is unpacked with its folders and without its links', async () => {
  zip(
    { name: 'in/', content: Buffer.alloc(0) },
    { name: 'in/x', content: Buffer.from('x'.repeat(1000)) },
    { name: 'in/link', content: Buffer.from('/etc/passwd'), mode: 0o120777 },
  );
  await unpacked('a.zip');
  expect(here.read('to/in/x').toString()).toBe('x'.repeat(1000));
  expect(here.lines).toContain('a.zip: in/link is not a regular file; left out');
});

test.each(['../evil', '/etc/evil', 'in/../../evil', '..\\evil'])(
  'a zip that names %s is refused',
  async (name) => {
    zip({ name, content: Buffer.from('x') });
    await expect(unpacked('a.zip')).rejects.toThrow(/outside|relative path|absolute path|invalid/);
  },
);

test('a zip bomb is refused, also when its directory states a false size', async () => {
  const content = Buffer.alloc(80 * 1024 * 1024);
  zip({ name: 'zeros', content });
  await expect(unpacked('a.zip')).rejects.toThrow(/grows from/);
  zip({ name: 'zeros', content, claimed: 1000 });
  await expect(unpacked('a.zip')).rejects.toThrow(/too many bytes/);
}, 30_000);
