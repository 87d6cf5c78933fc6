import type { AuditEntry } from '../audit';
import { STATUS_ABORTED } from '../core/errors';
import type { Exchange, HeaderText, Sent, Source } from './exchange';
import type { Tracing } from './headers';
import { originOf } from './headers';

/** An exchange that leaves one line in the record, however it ends. */
export class AuditedExchange implements Exchange {
  readonly method: Exchange['method'];
  readonly path: Exchange['path'];
  readonly query: Exchange['query'];
  readonly fields: Exchange['fields'];
  readonly remoteAddress: Exchange['remoteAddress'];
  readonly secure: Exchange['secure'];
  readonly signal: Exchange['signal'];
  private caller: string | undefined;
  private model: string | undefined;
  private isOver = false;

  constructor(
    private readonly inner: Exchange,
    private readonly tracing: Tracing,
    private readonly now: () => number,
    private readonly record: (entry: AuditEntry) => void,
    private readonly began = now(),
  ) {
    this.method = inner.method;
    this.path = inner.path;
    this.query = inner.query;
    this.fields = inner.fields;
    this.remoteAddress = inner.remoteAddress;
    this.secure = inner.secure;
    this.signal = inner.signal;
    inner.signal.addEventListener('abort', this.onAbort);
  }

  private readonly onAbort = (): void => this.over(STATUS_ABORTED, '');

  identified(caller: string, model: string | undefined): void {
    this.caller = caller;
    this.model = model;
  }

  body(limit: number): Buffer | Promise<Buffer> {
    return this.inner.body(limit);
  }

  answer(status: number, headers: HeaderText, body: Buffer | string): void {
    this.over(status, headers);
    this.inner.answer(status, headers, body);
  }

  stream(status: number, headers: HeaderText, source: Source, sent: (how: Sent) => void): void {
    this.inner.stream(status, headers, source, (how) => {
      this.over(how === 'caller_gone' ? STATUS_ABORTED : status, headers);
      sent(how);
    });
  }

  private over(status: number, headers: HeaderText): void {
    if (this.isOver) return;
    this.isOver = true;
    this.signal.removeEventListener('abort', this.onAbort);
    const { caller, model, began, tracing } = this;
    const at = this.now();
    const line = { at, caller, action: 'infer', model, status, requestId: tracing.requestId };
    this.record({ ...line, ...originOf(headers), ms: at - began });
  }
}
