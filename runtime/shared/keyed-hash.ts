import { createHmac } from 'node:crypto';

/** 32 bits of HMAC-SHA-256: the text cannot be found without the key. */
export const keyedHash = (key: string, text: string): number =>
  createHmac('sha256', key).update(text).digest().readUInt32BE(0);
