import { bucketOf } from '../../lib/spec';
import { SourceError } from './entry';

/** The bucket of an `s3` or `gs` URI. @throws SourceError before anybody is asked */
export function bucketIn(uri: string): string {
  const bucket = bucketOf(uri);
  if (bucket !== undefined) return bucket;
  throw new SourceError(
    `${uri}: what follows the // is no name of a bucket (letters, digits, dots, dashes, underscores); check the URI`,
  );
}
