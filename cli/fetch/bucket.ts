import { bucketOf } from '../../lib/spec';
import { SourceError } from './entry';

/** The bucket of an `s3` or `gs` URI. @throws SourceError before any request */
export function bucketIn(uri: string): string {
  const bucket = bucketOf(uri);
  if (bucket !== undefined) return bucket;
  throw new SourceError(
    `${uri}: the part after // is not a bucket name (letters, digits, dots, dashes, underscores); check the URI`,
  );
}
