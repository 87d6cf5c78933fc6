import type { RequestPayload, Upload } from '../exchange';
import { BodyTooLarge } from '../../../shared/body';
import type { Holding } from '../../../shared/held-bytes';
import { bodyReaderOf } from '../buffers/body-reader';
import type { BodyReader } from '../buffers/body-reader';
import type { HttpFault } from '../fields';
import { BodyBuffer } from '../buffers/body-buffer';
import { ProgressTimer } from './progress-timer';
import type { RequestHead } from './request-head';
import type { UploadOwner } from './caller-upload';
import { CallerUpload } from './caller-upload';

/** Bytes of a body that are buffered before the handler reads it. */
const MAX_UNREAD_BYTES = 65_536;
/** Memory counted for a streamed body: the buffers of both connections and one read. */
const PASSED_BYTES = 131_072;

/** The exchange that owns a body. */
export interface BodyOwner {
  readonly held: Holding;
  /** For each 64 KiB of a body; milliseconds. */
  readonly bodyMs: number;
  readonly isGone: () => boolean;
  /** Sends `100 Continue` if the caller waits for it. */
  readonly sendContinue: () => void;
  /** Reads more of the body; `isTimed`: under the body timeout, else the upload has its own. */
  readonly read: (isTimed: boolean) => void;
  /** So many chunks have come at once. */
  readonly onChunks: (count: number) => void;
  /** Too little came in time; the request ends here. */
  readonly onTooSlow: () => void;
  /** Nothing of the body is waited for. */
  readonly stopTimer: () => void;
  /** The rest of an upload is thrown away, by the caller's fault or not. */
  readonly onStopped: (isFault: boolean) => void;
}

interface WaitingReader {
  readonly limit: number;
  /** Bytes are counted as they arrive: their number was not stated. */
  readonly isGrowing: boolean;
  readonly resolve: (body: Buffer | Promise<Buffer>) => void;
  readonly reject: (error: Error) => void;
  /** A body above the limit is not refused but streamed. */
  readonly later?: { readonly limit: number; readonly resolve: (upload: Upload) => void };
}

/** The body of one request: read whole, passed on as it comes, or thrown away. */
export class RequestBody implements UploadOwner {
  private readonly reader: BodyReader;
  private readonly buffer = new BodyBuffer();
  private waiting: WaitingReader | undefined;
  private progress: ProgressTimer | undefined;
  private passed: CallerUpload | undefined;
  /** Bytes of the body are thrown away. */
  private isDiscarding = false;
  /** The body is malformed. */
  private isSpoiled = false;

  constructor(
    private readonly head: RequestHead,
    private readonly owner: BodyOwner,
  ) {
    this.reader = bodyReaderOf(head.framing);
  }

  /** Is all of it there? */
  get isRead(): boolean {
    return this.reader.isDone;
  }

  /** Has a byte of it come? */
  get isBegun(): boolean {
    return this.buffer.size > 0;
  }

  /** May the connection go on to read? */
  get hasRoom(): boolean {
    if (this.passed !== undefined) return this.passed.wantsMore;
    return this.waiting !== undefined || this.isDiscarding || this.buffer.size <= MAX_UNREAD_BYTES;
  }

  get bodyMs(): number {
    return this.owner.bodyMs;
  }

  /** Takes input. @returns how many bytes belong to this request @throws HttpFault */
  take(bytes: Buffer): number {
    if (this.isSpoiled) return bytes.length;
    let chunks = 0;
    const taken = this.reader.write(bytes, (piece) => {
      chunks += 1;
      this.keep(piece);
    });
    if (chunks > 1) this.owner.onChunks(chunks);
    const { waiting, passed } = this;
    if (passed !== undefined) passed.take(this.buffer.take(), this.reader.isDone);
    else if (waiting !== undefined) this.took(waiting, taken);
    return taken;
  }

  private took(waiting: WaitingReader, bytes: number): void {
    if (this.buffer.size > waiting.limit) this.exceed(waiting);
    else if (this.reader.isDone) this.over(waiting).resolve(this.buffer.takeLarge());
    else this.progress?.more(bytes);
  }

  private keep(piece: Buffer): void {
    if (this.isDiscarding) return;
    const { waiting } = this;
    if (waiting?.isGrowing === true && !this.isHeld(piece.length, waiting)) return;
    this.buffer.add(piece);
  }

  /** Is there memory for so much more of the body? Else it is refused. */
  private isHeld(bytes: number, waiting: WaitingReader): boolean {
    try {
      this.owner.held.take(bytes);
      return true;
    } catch (error) {
      this.refuse(waiting, error as Error);
      return false;
    }
  }

  private exceed(waiting: WaitingReader): void {
    const { later } = waiting;
    if (later === undefined) return this.refuse(waiting, new BodyTooLarge(waiting.limit));
    this.over(waiting);
    later.resolve(this.begun(undefined, later.limit));
  }

  private refuse(waiting: WaitingReader, why: Error): void {
    this.throwAway();
    this.over(waiting).reject(why);
  }

  private throwAway(): void {
    this.isDiscarding = true;
    this.buffer.clear();
  }

  /** The caller's bytes are no longer awaited. */
  private over(waiting: WaitingReader): WaitingReader {
    this.waiting = undefined;
    this.progress?.stop();
    this.owner.stopTimer();
    return waiting;
  }

  /** The body as a stream: first the buffered bytes, then the rest as it arrives. */
  private begun(length: number | undefined, limit: number): CallerUpload {
    const upload = new CallerUpload(length, limit, this);
    this.passed = upload;
    const before = this.buffer.take();
    if (before.length > 0) upload.take(before, this.reader.isDone);
    return upload;
  }

  /** Reserves memory before reading. @throws MemoryFull, and nothing is reserved */
  private hold(bytes: number): void {
    try {
      this.owner.held.take(bytes);
    } catch (error) {
      this.throwAway();
      throw error;
    }
  }

  /** As `Exchange.body`. @throws MemoryFull */
  whole(limit: number): Buffer | Promise<Buffer> {
    const { framing } = this.head;
    const isGrowing = framing.kind !== 'length';
    const announced = isGrowing ? this.buffer.size : framing.bytes;
    if (announced > limit) {
      this.throwAway();
      return Promise.reject(new BodyTooLarge(limit));
    }
    if (this.owner.isGone()) return Promise.reject(new Error('the caller is gone'));
    this.hold(announced);
    if (this.reader.isDone) return this.buffer.take();
    if (!isGrowing) this.buffer.expect(announced);
    return new Promise((resolve, reject) => this.wait({ limit, isGrowing, resolve, reject }));
  }

  /** As `Exchange.upload`. @throws MemoryFull */
  upload(whole: number, limit: number): RequestPayload | Promise<RequestPayload> {
    const { framing } = this.head;
    // Nearly always: it is there.
    if (this.reader.isDone || limit <= whole || this.owner.isGone()) return this.whole(limit);
    if (framing.kind === 'length') {
      const { bytes } = framing;
      if (bytes <= whole || bytes > limit) return this.whole(limit);
      this.hold(PASSED_BYTES);
      return this.begun(bytes, limit);
    }
    this.hold(this.buffer.size);
    if (this.buffer.size > whole) return this.begun(undefined, limit);
    return new Promise((resolve, reject) => {
      const later = { limit, resolve };
      this.wait({ limit: whole, isGrowing: true, resolve, reject, later });
    });
  }

  private wait(waiting: WaitingReader): void {
    this.waiting = waiting;
    this.progress ??= new ProgressTimer(this.bodyMs, () => this.owner.onTooSlow());
    this.progress.more(0);
    this.owner.sendContinue();
    this.owner.read(true);
  }

  /** Uploader: more is wanted. */
  read(): void {
    this.owner.sendContinue();
    this.owner.read(false);
  }

  /** Uploader: the rest is not. */
  stop(): void {
    this.isDiscarding = true;
    this.owner.onStopped(this.passed?.hasFailed === true);
  }

  /** The body is malformed. @returns whether the handler reports the fault in its response */
  spoil(fault: HttpFault): boolean {
    if (this.passed === undefined) return false;
    this.isSpoiled = true;
    this.passed.fail(fault.status, fault);
    return true;
  }

  /** The caller went away. */
  abandon(): void {
    this.progress?.stop();
    this.waiting?.reject(new Error('the caller broke off'));
    this.waiting = undefined;
    this.passed?.destroy();
  }
}
