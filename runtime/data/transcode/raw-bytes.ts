import { readLoose } from './exact-json';
import { LARGE_BYTES } from '../../shared/json-survey';

/** An output that is passed on as the bytes of its JSON, with its confidence. */
export class RawBytes {
  constructor(
    readonly bytes: Buffer,
    readonly confidence: Buffer,
  ) {}

  /** @throws Error when it is large: the event loop must not parse it */
  toJSON(): unknown {
    if (this.bytes.length > LARGE_BYTES) throw new Error('a large output is not compared');
    return readLoose(this.bytes.toString('utf8'));
  }
}
