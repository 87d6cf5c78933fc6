import type { InferenceResult } from '../upstream/infer';
import { RawBytes } from '../transcode/raw-bytes';
import { writeStrict } from '../transcode/exact-json';
import { RawJson } from '../transcode/copied-text';
import type { Request } from './request';
import { isoOf } from '../../shared/iso';
import { joined } from '../../shared/join-buffers';
import { quoted } from '../../shared/quoted';
import { seconds } from './request';

/**
 * The body of a native answer; an output that was not parsed is copied as text. Ids need no escapes
 * in JSON.
 */
export function envelope(
  request: Request,
  id: string,
  done: InferenceResult,
  now: number,
): string | Promise<Buffer> {
  const { output, confidence, version } = done;
  const head =
    `{"request_id":"${request.tracing.requestId}","model_id":"${id}",` +
    `"model_version":${quoted(version)},"output_data":`;
  const took = seconds(now - request.began);
  const tail = `,"processing_time":${took},"timestamp":"${isoOf(now)}"}`;
  if (output instanceof RawBytes) {
    const { bytes, confidence: own } = output;
    const between = Buffer.from(',"confidence":');
    return joined([Buffer.from(head), bytes, between, own, Buffer.from(tail)]);
  }
  const text = output instanceof RawJson ? output.text : writeStrict(output);
  return `${head}${text},"confidence":${writeStrict(confidence)}${tail}`;
}
