import type { Cut, Message } from './splice';
import { joined, split } from './splice';
import { splitNative } from './splice-native';
import { cutV1Answer } from './splice-v1';
import { cutV2Answer } from './splice-v2';
import { readLoose } from '../transcode/exact-json';
import type { JsonObject } from '../transcode/body-json';
import { isJsonObject } from '../transcode/body-json';
import { readBinaryAnswer } from '../transcode/v2-binary';

/** How requests of one protocol become one call, and its answer theirs again. */
export interface Form {
  readonly joined: (cuts: readonly Cut[]) => Message;
  /**
   * Undefined in all: the answer has not the rows that were asked. Undefined for one: its answer
   * is an error, which it gets by itself.
   */
  readonly split: (
    answer: Message,
    cuts: readonly Cut[],
  ) => readonly (Message | undefined)[] | undefined;
  /** What a model gave in an answer: no ids, no times. */
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

const V1: Form = {
  joined,
  split: ({ body }, cuts) => {
    const answer = cutV1Answer(body.toString('latin1'));
    return answer && split(answer, cuts);
  },
  output: (answer) => read(answer)['predictions'],
};

const V2: Form = {
  joined,
  split: (message, cuts) => {
    const asked = cuts.reduce((sum, { rows }) => sum + rows, 0);
    const answer = cutV2Answer(message, asked);
    return answer && split(answer, cuts);
  },
  output: (answer) => {
    const { body, jsonBytes } = answer;
    const isJson = jsonBytes === undefined;
    return (isJson ? read(answer) : readBinaryAnswer(body, String(jsonBytes)))['outputs'];
  },
};

const NATIVE: Form = {
  joined,
  split: ({ body }, cuts) =>
    splitNative(body.toString('latin1'), cuts.length)?.map((one) =>
      one === undefined ? undefined : jsonOf(one),
    ),
  output: (answer) => {
    const { result, confidence } = read(answer);
    return { result, confidence };
  },
};

export const FORMS = { v1: V1, v2: V2, native: NATIVE } as const;
