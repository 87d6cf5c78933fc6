import type { Splice, Elements } from './splice';
import { eachKey, elementsOf, endOf } from './splice';
import { NotSimple, scanned } from '../transcode/scanner';

// Native calls are batched as `batch_inference`, whose items are the bodies of single calls.

/** The body of a single call as a batch of one. */
export function spliceNative(text: string): Splice {
  const elements: Elements = { text, starts: [0], ends: [text.length] };
  const fields = [{ kind: 'list', elements, perRow: 1 }] as const;
  return { pieces: ['{"requests":[', ']}'], fields, rows: 1, shape: '' };
}

function hasError(result: string): boolean {
  return (
    scanned(
      result,
      (scanner) => {
        let found = false;
        eachKey(scanner, (key) => {
          found ||= key === 'error';
          scanner.value();
        });
        return found;
      },
      true,
    ) ?? true
  );
}

/** The results, undefined for an error; undefined as a whole: the count differs. */
export function splitNative(
  text: string,
  count: number,
): readonly (string | undefined)[] | undefined {
  return scanned(
    text,
    (scanner) => {
      let results: readonly string[] | undefined;
      eachKey(scanner, (key) => {
        if (key !== 'results') return void scanner.value();
        const { starts, ends } = elementsOf(scanner, endOf);
        results = starts.map((start, at) => text.slice(start, ends[at]));
      });
      if (results?.length !== count) throw new NotSimple();
      return results.map((one) => (hasError(one) ? undefined : one));
    },
    true,
  );
}
