import type { AuditEntry } from '../audit';
import { STATUS_ABORTED } from '../core/errors';
import type { Account, Body, Exchange, HeaderText, Sent, Source } from './exchange';

/** The one line that a request leaves in the record, however it ends. */
export class AuditLine implements Account {
  private caller: string | undefined;
  private model: string | undefined;
  private arm: string | undefined;
  private version: string | undefined;
  private isOver = false;

  constructor(
    private readonly requestId: string,
    private readonly now: () => number,
    private readonly record: (entry: AuditEntry) => void,
    private readonly began = now(),
  ) {}

  asked(caller: string, model: string | undefined): void {
    this.caller = caller;
    this.model = model;
  }

  answering(arm: string, version: string): void {
    this.arm = arm;
    this.version = version;
  }

  over(status: number): void {
    if (this.isOver) return;
    this.isOver = true;
    const { caller, model, arm, version, requestId, began } = this;
    const at = this.now();
    const ms = at - began;
    this.record({ at, caller, action: 'infer', model, arm, version, ms, requestId, status });
  }
}

/** An exchange whose end is recorded. */
export class AuditedExchange implements Exchange {
  readonly method: Exchange['method'];
  readonly path: Exchange['path'];
  readonly query: Exchange['query'];
  readonly fields: Exchange['fields'];
  readonly remoteAddress: Exchange['remoteAddress'];
  readonly secure: Exchange['secure'];
  readonly signal: Exchange['signal'];

  constructor(
    private readonly inner: Exchange,
    readonly account: AuditLine,
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

  private readonly onAbort = (): void => this.account.over(STATUS_ABORTED);

  body(limit: number): Buffer | Promise<Buffer> {
    return this.inner.body(limit);
  }

  upload(whole: number, limit: number): Body | Promise<Body> {
    return this.inner.upload(whole, limit);
  }

  answer(status: number, headers: HeaderText, body: Buffer | string): void {
    this.over(status);
    this.inner.answer(status, headers, body);
  }

  stream(status: number, headers: HeaderText, source: Source, sent: (how: Sent) => void): void {
    this.inner.stream(status, headers, source, (how) => {
      this.over(how === 'caller_gone' ? STATUS_ABORTED : status);
      sent(how);
    });
  }

  private over(status: number): void {
    this.signal.removeEventListener('abort', this.onAbort);
    this.account.over(status);
  }
}
