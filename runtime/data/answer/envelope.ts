import type { Inferred } from '../call/infer';
import { writeStrict } from '../protocols/exact';
import { RawJson } from '../protocols/splice';
import type { Request } from '../request';
import { isoOf } from '../../shared/iso';
import { quoted } from '../../shared/quoted';
import { seconds } from '../request';

/**
 * The body of a native answer; an output that was not taken apart is not put together again. Ids
 * are such that they stand in JSON as they are.
 */
export function envelope(request: Request, id: string, done: Inferred, now: number): string {
  const { output, confidence, version } = done;
  const text = output instanceof RawJson ? output.text : writeStrict(output);
  return (
    `{"request_id":"${request.tracing.requestId}","model_id":"${id}",` +
    `"model_version":${quoted(version)},"output_data":${text},` +
    `"confidence":${writeStrict(confidence)},"processing_time":${seconds(now - request.began)},` +
    `"timestamp":"${isoOf(now)}"}`
  );
}
