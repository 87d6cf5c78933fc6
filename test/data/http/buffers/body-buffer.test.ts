import { BodyBuffer } from '../../../../runtime/data/http/buffers/body-buffer';

const letters = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, at) => Buffer.from([97 + (at % 26)]));

const whole = (count: number): string => Buffer.concat(letters(count)).toString();

describe('a body in pieces', () => {
  test('of one byte is joined in blocks', () => {
    const pieces = new BodyBuffer();
    const all = letters(100_000);
    const kept = jest.spyOn(Buffer, 'from');
    for (const one of all) pieces.copy(one);
    // The first piece, and one for each block of 16 KiB.
    expect(kept.mock.calls.length).toBeLessThan(10);
    kept.mockRestore();
    expect(pieces.take().toString()).toBe(whole(100_000));
  });

  test('of known length is copied into place, and held once', () => {
    const pieces = new BodyBuffer();
    const all = letters(100_000);
    pieces.add(Buffer.from('ab'));
    pieces.expect(100_000);
    const joined = jest.spyOn(Buffer, 'concat');
    for (const one of all.slice(2)) pieces.copy(one);
    const taken = pieces.take();
    expect(joined).not.toHaveBeenCalled();
    joined.mockRestore();
    expect(taken.toString()).toBe(whole(100_000));
  });

  test('keeps its bytes when the source reuses its memory', () => {
    const pieces = new BodyBuffer();
    const shared = Buffer.alloc(2048, 'a');
    pieces.copy(shared);
    shared.fill('b');
    pieces.copy(shared);
    shared.fill('c');
    expect(pieces.take().toString()).toBe('a'.repeat(2048) + 'b'.repeat(2048));
  });
});
