import type { ExchangeFailure, BodySink, Upload } from '../exchange';
import { LAST_CHUNK } from '../buffers/chunked';
import type { ClientSocket } from './client-socket';
import { writeBoth, writeChunk } from '../server/response-writer';

/** The connection that sends an upload. */
export interface RequestBodyListener {
  /** The caller is awaited instead of the server, or the reverse. */
  readonly onTurn: () => void;
  readonly onDelivered: () => void;
  readonly onFailed: (why: ExchangeFailure) => void;
}

/** A body on its way to a server, as fast as both of them are. */
export class RequestBodyWriter implements BodySink {
  private hasBegun = false;
  private isBlocked = false;
  isDone = false;

  constructor(
    private readonly socket: ClientSocket,
    private readonly upload: Upload,
    private readonly listener: RequestBodyListener,
  ) {}

  get waitsForCaller(): boolean {
    return this.hasBegun && !this.isBlocked && !this.isDone;
  }

  /** Not before there is a connection: until then another server can have it. */
  begin(): void {
    this.hasBegun = true;
    this.socket.isUploading = true;
    this.listener.onTurn();
    this.upload.flow(this);
  }

  data(piece: Buffer): boolean {
    const { socket } = this;
    if (this.upload.length === undefined) writeChunk(socket, '', piece);
    else writeBoth(socket, '', piece);
    if (!socket.writableNeedDrain) return true;
    this.isBlocked = true;
    this.listener.onTurn();
    return false;
  }

  drained(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.listener.onTurn();
    if (!this.isDone) this.upload.resume();
  }

  end(): void {
    if (this.upload.length === undefined) this.socket.write(LAST_CHUNK, 'latin1');
    this.isDone = true;
    this.listener.onTurn();
    this.listener.onDelivered();
  }

  fail(why: ExchangeFailure): void {
    this.isDone = true;
    this.listener.onFailed(why);
  }

  /** The server takes no more, or nothing yet: then it is still whole. */
  stop(): void {
    this.socket.isUploading = false;
    if (this.hasBegun && !this.isDone) this.upload.destroy();
    this.isDone = true;
  }
}
