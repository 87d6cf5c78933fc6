import type { Splice, Message } from './splice';
import { joinRequests, splitAnswer } from './splice';
import { splitNative } from './splice-native';
import { spliceV1Answer } from './splice-v1';
import { spliceV2Answer } from './splice-v2';
import { readLoose } from '../transcode/exact-json';
import type { JsonObject } from '../transcode/body-json';
import { isJsonObject } from '../transcode/body-json';
import { readBinaryAnswer } from '../transcode/v2-binary';

/** Joins requests of one protocol into one call, and splits its answer. */
export interface BatchCodec {
  readonly join: (splices: readonly Splice[]) => Message;
  /**
   * Returns undefined if the answer does not have the requested rows. An undefined element is an
   * error: that request is sent alone.
   */
  readonly split: (
    answer: Message,
    splices: readonly Splice[],
  ) => readonly (Message | undefined)[] | undefined;
  /** The output of the model, without IDs and times. */
  readonly output: (answer: Message) => unknown;
}

const read = ({ body }: Message): JsonObject => {
  const value = readLoose(body.toString('utf8'));
  return isJsonObject(value) ? value : {};
};

const jsonOf = (text: string): Message => ({
  body: Buffer.from(text, 'latin1'),
  jsonBytes: undefined,
});

const V1: BatchCodec = {
  join: joinRequests,
  split: ({ body }, splices) => {
    const answer = spliceV1Answer(body.toString('latin1'));
    return answer && splitAnswer(answer, splices);
  },
  output: (answer) => read(answer)['predictions'],
};

const V2: BatchCodec = {
  join: joinRequests,
  split: (message, splices) => {
    const asked = splices.reduce((sum, { rows }) => sum + rows, 0);
    const answer = spliceV2Answer(message, asked);
    return answer && splitAnswer(answer, splices);
  },
  output: (answer) => {
    const { body, jsonBytes } = answer;
    const isJson = jsonBytes === undefined;
    return (isJson ? read(answer) : readBinaryAnswer(body, String(jsonBytes)))['outputs'];
  },
};

const NATIVE: BatchCodec = {
  join: joinRequests,
  split: ({ body }, splices) =>
    splitNative(body.toString('latin1'), splices.length)?.map((one) =>
      one === undefined ? undefined : jsonOf(one),
    ),
  output: (answer) => {
    const { result, confidence } = read(answer);
    return { result, confidence };
  },
};

export const BATCH_CODECS = { v1: V1, v2: V2, native: NATIVE } as const;
