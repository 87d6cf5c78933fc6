import { readJson } from '../../../runtime/data/transcode/exact-json';
import type { JsonObject } from '../../../runtime/data/transcode/body-json';
import { nativeToOpenai, openaiToNative } from '../../../runtime/data/transcode/native-to-openai';
import type { OpenaiCallName } from '../../../runtime/data/transcode/openai-to-native';
import {
  nativeToOpenaiAnswer,
  parseOpenai,
} from '../../../runtime/data/transcode/openai-to-native';

describe('a native call to an OpenAI server', () => {
  const messages = [{ role: 'user', content: '头痛' }];

  test.each([
    [{ messages }, '/v1/chat/completions'],
    [{ prompt: 'once' }, '/v1/completions'],
    [{ prompt: ['once', 'twice'] }, '/v1/completions'],
    [{ input: ['a', 'b'] }, '/v1/embeddings'],
  ])('of %j goes to %s, parameters at the top level', (input_data, target) => {
    const item = { input_data, parameters: { temperature: 0.5, seed: 7 } };
    const call = nativeToOpenai(item, 'chat', false);
    expect([call.target, call.body]).toEqual([
      target,
      { temperature: 0.5, seed: 7, model: 'chat', ...input_data },
    ]);
  });

  test('has stream only when it streams', () => {
    const item = { input_data: { messages } };
    expect(nativeToOpenai(item, 'chat', true).body).toMatchObject({ stream: true });
    expect(nativeToOpenai(item, 'chat', false).body).not.toHaveProperty('stream');
  });

  test.each<readonly [JsonObject, JsonObject | undefined, boolean, string]>([
    [{}, undefined, false, 'input_data: got nothing, must be exactly one of messages (chat)'],
    [{ x: 1 }, undefined, false, 'input_data: got x, must be exactly one of'],
    [{ messages, prompt: 'a' }, undefined, false, 'got messages, prompt, must be exactly one'],
    [{ messages, top_k: 1 }, undefined, false, 'the rest belongs to parameters'],
    [{ messages }, { model: 'other' }, false, 'parameters.model: is set by the request itself'],
    [{ messages }, { messages: [] }, false, 'parameters.messages: is set by the request itself'],
    [{ messages }, { prompt: 'x' }, false, 'parameters.prompt: is set by the request itself'],
    [{ messages }, { stream: true }, false, 'ask for a stream by Accept: text/event-stream'],
    [{ input: 'a' }, undefined, true, 'embeddings cannot be streamed'],
  ])('of %j with %j is refused (stream: %j): %s', (input_data, parameters, stream, message) => {
    expect(() => nativeToOpenai({ input_data, parameters }, 'chat', stream)).toThrow(message);
  });
});

describe('the response of an OpenAI server as a native one', () => {
  const chat = nativeToOpenai({ input_data: { messages: [] } }, 'chat', false);
  const completion = nativeToOpenai({ input_data: { prompt: 'a' } }, 'chat', false);
  const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  const tool_calls = [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }];

  test.each<readonly [string, typeof chat, JsonObject, JsonObject]>([
    [
      'chat: text, role, reason and usage; fields that say nothing are left out',
      chat,
      {
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'hi', refusal: null, tool_calls: [] },
            finish_reason: 'stop',
            logprobs: null,
          },
        ],
        usage,
      },
      { content: 'hi', role: 'assistant', finish_reason: 'stop', usage },
    ],
    [
      'chat: calls of tools instead of text',
      chat,
      {
        choices: [
          {
            message: { role: 'assistant', content: null, tool_calls },
            finish_reason: 'tool_calls',
          },
        ],
      },
      { content: null, role: 'assistant', tool_calls, finish_reason: 'tool_calls' },
    ],
    [
      'a completion',
      completion,
      { choices: [{ text: 'b', finish_reason: 'length', logprobs: { tokens: ['b'] } }] },
      { text: 'b', finish_reason: 'length', logprobs: { tokens: ['b'] } },
    ],
    [
      'several choices',
      completion,
      { choices: [{ text: 'b', finish_reason: 'stop' }, { text: 'c' }], usage },
      {
        choices: [
          { text: 'b', finish_reason: 'stop' },
          { text: 'c', finish_reason: null },
        ],
        usage,
      },
    ],
    [
      'one embedding',
      nativeToOpenai({ input_data: { input: 'a' } }, 'e', false),
      { data: [{ index: 0, embedding: [0.5, 1] }] },
      { embedding: [0.5, 1] },
    ],
    [
      'one embedding, of tokens',
      nativeToOpenai({ input_data: { input: [1, 2] } }, 'e', false),
      { data: [{ index: 0, embedding: [0.5, 1] }] },
      { embedding: [0.5, 1] },
    ],
    [
      'embeddings of a list, in its order',
      nativeToOpenai({ input_data: { input: ['a', 'b'] } }, 'e', false),
      {
        data: [
          { index: 1, embedding: [2] },
          { index: 0, embedding: [1] },
        ],
        usage,
      },
      { embeddings: [[1], [2]], usage },
    ],
  ])('has %s', (_, call, answer, output) => {
    expect(openaiToNative(answer, call)).toEqual({ output, confidence: null });
  });

  test.each([undefined, 7, {}, { choices: [] }, { choices: [{}] }, { choices: 'x' }, { data: 1 }])(
    'is invalid for %j',
    (answer) => {
      expect(openaiToNative(answer, chat)).toBeUndefined();
      const call = nativeToOpenai({ input_data: { input: 'a' } }, 'e', false);
      expect(openaiToNative(answer, call)).toBeUndefined();
    },
  );
});

describe('an OpenAI call to a native server', () => {
  test.each<readonly [OpenaiCallName, string, JsonObject]>([
    [
      'chat/completions',
      '{"model":"m","messages":[{"role":"user"}],"temperature":1.0,"seed":9007199254740993}',
      {
        input_data: { messages: [{ role: 'user' }] },
        parameters: { temperature: expect.anything(), seed: expect.anything() },
      },
    ],
    [
      'completions',
      '{"model":"m","prompt":"a","n":1,"stream":false}',
      { input_data: { prompt: 'a' } },
    ],
    [
      'embeddings',
      '{"model":"m","input":["a"],"encoding_format":"base64","dimensions":8}',
      { input_data: { input: ['a'] }, parameters: { dimensions: 8 } },
    ],
  ])('%s: %s', (call, text, item) => {
    expect(parseOpenai(call, readJson(text) as JsonObject).item).toEqual(item);
  });

  test.each<readonly [OpenaiCallName, JsonObject, string]>([
    ['chat/completions', {}, 'messages: is missing'],
    ['completions', { messages: [] }, 'prompt: is missing'],
    ['embeddings', { prompt: 'a' }, 'input: is missing'],
    ['completions', { prompt: 'a', n: 2 }, 'n: got 2, must be 1'],
    ['completions', { prompt: 'a', stream: 'yes' }, 'stream: got "yes", must be true or false'],
    [
      'chat/completions',
      { messages: [], stream_options: { include_usage: 1 } },
      'include_usage: got 1, must be true or false',
    ],
    ['embeddings', { input: 'a', encoding_format: 'int8' }, 'must be float or base64'],
  ])('to %s with %j is refused: %s', (call, body, message) => {
    expect(() => parseOpenai(call, body)).toThrow(message);
  });
});

describe('a native result as an OpenAI response', () => {
  const written = { id: 'id-1', created: 1_700_000_000, model: 'own' };
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const tell = (call: OpenaiCallName, more: JsonObject, result: unknown): string => {
    const field = { 'chat/completions': 'messages', completions: 'prompt', embeddings: 'input' };
    return nativeToOpenaiAnswer(
      result,
      parseOpenai(call, { [field[call]]: 'a', ...more }),
      written,
    );
  };
  const parsed = (...asked: Parameters<typeof tell>): JsonObject =>
    JSON.parse(tell(...asked)) as JsonObject;

  test.each<readonly [string, unknown, string]>([
    ['content', { content: 'hi' }, 'hi'],
    ['text', { text: 'hi' }, 'hi'],
    ['all of it', 'hi', 'hi'],
  ])('is a chat with the text in %s', (_, result, content) => {
    expect(parsed('chat/completions', {}, result)).toEqual({
      id: 'chatcmpl-id-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'own',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
    });
  });

  test('is a chat that calls tools, with usage', () => {
    const tool_calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const answer = parsed('chat/completions', {}, { tool_calls, usage });
    expect(answer).toMatchObject({
      choices: [{ message: { content: null, tool_calls }, finish_reason: 'tool_calls' }],
      usage,
    });
  });

  test('is a completion', () => {
    const answer = parsed('completions', {}, { text: 'b', finish_reason: 'length', usage });
    expect(answer).toMatchObject({
      id: 'cmpl-id-1',
      object: 'text_completion',
      choices: [{ index: 0, text: 'b', finish_reason: 'length' }],
      usage,
    });
  });

  test.each([
    ['one', { embedding: [0.5, 1] }, [[0.5, 1]]],
    ['several', { embeddings: [[0.5], [1]] }, [[0.5], [1]]],
    ['a bare one', [0.5, 1], [[0.5, 1]]],
    ['bare ones', [[0.5], [1]], [[0.5], [1]]],
  ])('is embeddings: %s', (_, result, vectors) => {
    const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }));
    expect(parsed('embeddings', {}, result)).toEqual({ object: 'list', data, model: 'own' });
  });

  test('has embeddings in base64 as 32-bit floats, as OpenAI’s clients request them', () => {
    const { data } = parsed('embeddings', { encoding_format: 'base64' }, { embedding: [0.5, -2] });
    const [{ embedding }] = data as [{ embedding: string }];
    const bytes = Buffer.from(embedding, 'base64');
    expect([bytes.length, bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([8, 0.5, -2]);
  });

  test.each<readonly [OpenaiCallName, unknown, string]>([
    ['chat/completions', { label: 'a' }, 'has no text (content, text'],
    ['chat/completions', [1], 'has no text'],
    ['completions', null, 'has no text'],
    ['embeddings', 'text', 'has no embedding'],
    ['embeddings', { embedding: ['a'] }, 'has no embedding'],
    ['embeddings', { embeddings: [] }, 'has no embedding'],
  ])('fails as %s for %j: %s', (call, result, message) => {
    expect(() => tell(call, {}, result)).toThrow(message);
  });

  const chunksOf = (text: string): readonly (JsonObject | string)[] =>
    text
      .split('\n\n')
      .filter((event) => event !== '')
      .map((event) => event.replace(/^data: /, ''))
      .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as JsonObject)));

  test('as a stream is role, text, end and [DONE], each an event', () => {
    const text = tell('chat/completions', { stream: true }, { content: 'line\n\nline', usage });
    const [role, words, end, done, ...more] = chunksOf(text);
    const head = { id: 'chatcmpl-id-1', object: 'chat.completion.chunk', model: 'own' };
    const at = (delta: object, finish_reason: string | null) => ({
      ...head,
      choices: [{ index: 0, delta, finish_reason }],
    });
    expect(role).toMatchObject(at({ role: 'assistant', content: '' }, null));
    expect(words).toMatchObject(at({ content: 'line\n\nline' }, null));
    expect(end).toMatchObject(at({}, 'stop'));
    expect([done, more]).toEqual(['[DONE]', []]);
  });

  test('as a stream ends with usage on request', () => {
    const asked = { stream: true, stream_options: { include_usage: true } };
    const all = chunksOf(tell('chat/completions', asked, { content: 'a', usage }));
    expect(all.at(-2)).toMatchObject({ choices: [], usage });
    const unknown = chunksOf(tell('chat/completions', asked, { content: 'a' }));
    expect(unknown).toHaveLength(4);
  });

  test('as a stream is a completion, or calls tools', () => {
    const [words, end] = chunksOf(tell('completions', { stream: true }, 'b'));
    expect(words).toMatchObject({ object: 'text_completion', choices: [{ text: 'b' }] });
    expect(end).toMatchObject({ choices: [{ text: '', finish_reason: 'stop' }] });
    const tool_calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const [, tools, last] = chunksOf(tell('chat/completions', { stream: true }, { tool_calls }));
    const [{ delta }] = (tools as { choices: [{ delta: unknown }] }).choices;
    expect(delta).toEqual({ tool_calls: [{ index: 0, ...tool_calls[0] }] });
    expect(last).toMatchObject({ choices: [{ finish_reason: 'tool_calls' }] });
  });
});
