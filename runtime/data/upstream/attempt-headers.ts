import type { ReplicaRoute } from '../../core/routing/table';
import type { HeaderText, Upload } from '../http/exchange';

function framingOf(upload: Upload | undefined): HeaderText {
  if (upload === undefined) return '';
  const { length } = upload;
  return length === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${length}\r\n`;
}

/** The headers of a request, completed by those that differ between attempts. */
export function attemptHeaders(
  { address }: ReplicaRoute,
  { headers, body }: { readonly headers: HeaderText; readonly body: Buffer | undefined },
  upload: Upload | undefined,
  timeoutMs: number,
): HeaderText {
  const framing = body === undefined ? framingOf(upload) : `content-length: ${body.length}\r\n`;
  const deadline = `x-ai-model-deadline-ms: ${Math.ceil(timeoutMs)}\r\n`;
  return `host: ${address}\r\n${headers}${framing}${deadline}`;
}
