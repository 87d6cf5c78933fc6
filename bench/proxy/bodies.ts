// What is asked and answered. A model for each size: `echo-300` takes and gives about 300 bytes.

export const SIZES = [300, 4096, 102_400, 1_048_576] as const;
export type Size = (typeof SIZES)[number];

export const sizeName = (size: Size): string =>
  size < 1024 ? `${size} B` : size < 1_048_576 ? `${size / 1024} KB` : `${size / 1_048_576} MB`;

export const modelOf = (size: Size): string => `echo-${size}`;

const tensor = (name: string, data: readonly number[]) => ({
  name,
  datatype: 'FP64',
  shape: [1, data.length],
  data,
});

/** As many numbers as make a body of about this size: six bytes each. */
const numbersOf = (size: Size, taken: number): number[] =>
  Array.from(
    { length: Math.max(3, Math.floor((size - taken) / 6)) },
    (_, at) => 0.001 + (at % 900) / 1000,
  );

export const asked = (size: Size): string =>
  JSON.stringify({ inputs: [tensor('x', numbersOf(size, 70))] });

export const askedNatively = (size: Size): string =>
  JSON.stringify({ input_data: { x: numbersOf(size, 30) } });

export const answered = (size: Size): string =>
  JSON.stringify({
    model_name: modelOf(size),
    model_version: '1',
    outputs: [tensor('y', numbersOf(size, 120))],
  });

export const metadata = (size: Size): string =>
  JSON.stringify({
    name: modelOf(size),
    versions: ['1'],
    platform: 'bench',
    inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, -1] }],
    outputs: [{ name: 'y', datatype: 'FP64', shape: [-1, -1] }],
  });

/** For a gateway that takes OpenAI's calls only: a chat of the same size. */
export const askedToChat = (size: Size): string =>
  JSON.stringify({
    model: modelOf(size),
    messages: [{ role: 'user', content: 'x'.repeat(Math.max(1, size - 80)) }],
  });

const chatOf = (size: Size, content: string) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 0,
  model: modelOf(size),
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
});

export const answeredByChat = (size: Size): string => {
  const missing = size - JSON.stringify(chatOf(size, '')).length;
  return JSON.stringify(chatOf(size, 'y'.repeat(Math.max(1, missing))));
};
