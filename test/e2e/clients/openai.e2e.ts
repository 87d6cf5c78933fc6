import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { freePort } from '../../support/backend';
import { ROOT } from '../../support/sources';
import type { Beside } from '../beside';
import { writeDefinition } from '../beside';
import { call, until } from '../service';
import type { ToolServer } from './openai-server';
import { startOpenai } from './openai-server';
import { programsOf } from './page';
import type { Scene } from './scene';
import { startScene } from './scene';

// OpenAI's own client, unchanged: towards a server that speaks OpenAI it gets what that server says
// to it directly, and a model that speaks native looks to it as one of OpenAI's.

const KEY = 'a-key-for-the-tests';
/** A loaded machine is no fault of ours. */
const PATIENT_MS = 120_000;
const run = promisify(execFile);

let scene: Scene;
let later: Beside;
let client: OpenAI;
let direct: OpenAI;

const clientOf = (baseURL: string, apiKey = KEY, maxRetries = 0): OpenAI =>
  new OpenAI({ baseURL, apiKey, maxRetries, timeout: PATIENT_MS });

const routed = (apiKey?: string, maxRetries?: number): OpenAI =>
  clientOf(`${scene.service.url}/openai/v1`, apiKey, maxRetries);

beforeAll(async () => {
  const address = `127.0.0.1:${await freePort()}`;
  later = { id: 'later', protocol: 'openai', address, timeoutSeconds: 5 };
  scene = await startScene({ key: KEY, later: [later] });
  client = routed();
  direct = clientOf(`${scene.openai.url}/v1`);
}, 3 * PATIENT_MS);

afterAll(() => scene?.end());

const says = (content: string, model = 'chat') => ({
  model,
  messages: [{ role: 'user' as const, content }],
});

const TOOL = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: {} } },
} as const;

/** What a client hears of a stream. */
async function heard(from: OpenAI, content: string, model = 'chat', include_usage = true) {
  const stream = await from.chat.completions.create({
    ...says(content, model),
    stream: true,
    stream_options: { include_usage },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  const ends = chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? []);
  return { chunks, text, ends, usage: chunks.at(-1)?.usage };
}

async function failing(asking: Promise<unknown>): Promise<APIError> {
  const error: unknown = await asking.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof APIError) return error;
  throw new Error(`no error of the client's: ${String(error)}`);
}

describe('an OpenAI server', () => {
  test('chats, with usage, as without the router', async () => {
    const asked = { ...says('头痛'), temperature: 0 };
    const answer = await client.chat.completions.create(asked);
    expect(answer).toEqual(await direct.chat.completions.create(asked));
    expect(answer.choices[0]?.message.content).toBe('头痛');
    expect(answer.usage?.total_tokens).toBe(4);
  });

  test('has its responses and streams passed byte by byte', async () => {
    for (const stream of [false, true]) {
      const body = JSON.stringify({ ...says('头痛, 乏力'), stream });
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
      const text = async (base: string) =>
        (await fetch(`${base}/v1/chat/completions`, { method: 'POST', headers, body })).text();
      expect(await text(`${scene.service.url}/openai`)).toBe(await text(scene.openai.url));
    }
  });

  test('has tool calls in both directions', async () => {
    const answer = await client.chat.completions.create({ ...says('weather?'), tools: [TOOL] });
    const [called] = answer.choices[0]?.message.tool_calls ?? [];
    expect(called).toEqual({
      id: 'call-1',
      type: 'function',
      function: { name: 'weather', arguments: '{"city":"上海"}' },
    });
    expect(scene.openai.calls.at(-1)?.body['tools']).toEqual([TOOL]);
  });

  test('streams event by event, and ends with usage', async () => {
    const own = await heard(client, '头痛, 乏力');
    expect(own).toEqual(await heard(direct, '头痛, 乏力'));
    expect([own.text, own.ends, own.usage?.total_tokens]).toEqual(['头痛, 乏力', ['stop'], 12]);
    expect(own.chunks.length).toBeGreaterThan(5);
  });

  test('sees the end of a stream that the client breaks off', async () => {
    const before = scene.openai.calls.length;
    const stream = await client.chat.completions.create({ ...says('endless'), stream: true });
    let text = '';
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (text === 'end') stream.controller.abort();
    }
    const seen = (): boolean => scene.openai.calls[before]?.wasLeft === true;
    await until('the server sees it', seen, Boolean, PATIENT_MS);
    expect(text).toMatch(/^end/);
  });

  test('embeds in base64, the default of the client, and as numbers', async () => {
    const asked = { model: 'chat', input: ['头痛', 'fatigue'] };
    const answer = await client.embeddings.create(asked);
    expect(scene.openai.calls.at(-1)?.body['encoding_format']).toBe('base64');
    expect(answer.data.map(({ embedding }) => embedding)).toEqual([
      [2, 0.5, -1],
      [7, 0.5, -1],
    ]);
    const plain = await client.embeddings.create({ ...asked, encoding_format: 'float' });
    expect(plain).toEqual(await direct.embeddings.create({ ...asked, encoding_format: 'float' }));
  });

  test('completes', async () => {
    const answer = await client.completions.create({ model: 'chat', prompt: 'once' });
    expect(answer.choices[0]?.text).toBe('once');
  });

  test('is in the list of models', async () => {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(['chat', 'own']);
    expect(await client.models.retrieve('chat')).toMatchObject({ id: 'chat', object: 'model' });
  });
});

describe('a native model', () => {
  test('chats, with usage', async () => {
    const answer = await client.chat.completions.create({ ...says('头痛', 'own'), temperature: 0 });
    expect(answer).toMatchObject({ object: 'chat.completion', model: 'own' });
    expect(answer.choices).toEqual([
      expect.objectContaining({
        message: expect.objectContaining({ role: 'assistant', content: 'native: 头痛' }),
        finish_reason: 'stop',
      }),
    ]);
    expect(answer.usage?.total_tokens).toBe(3);
    expect(scene.native.calls.at(-1)?.body).toEqual({
      input_data: { messages: says('头痛').messages },
      parameters: { temperature: 0 },
    });
  });

  test('streams on request, with usage when asked', async () => {
    const { text, ends, usage } = await heard(client, '头痛', 'own');
    expect([text, ends, usage?.total_tokens]).toEqual(['native: 头痛', ['stop'], 3]);
    expect((await heard(client, '头痛', 'own', false)).usage ?? null).toBeNull();
  });

  test('works with the helper for streams, too', async () => {
    const stream = client.chat.completions.stream(says('头痛', 'own'));
    expect(await stream.finalContent()).toBe('native: 头痛');
  });

  test('embeds and completes', async () => {
    const { data } = await client.embeddings.create({ model: 'own', input: '头痛' });
    expect(data[0]?.embedding).toEqual([0.5, -1]);
    const answer = await client.completions.create({ model: 'own', prompt: 'once' });
    expect(answer.choices[0]?.text).toBe('native: once');
  });

  test('refuses calls that it does not support in OpenAI’s form', async () => {
    const two = await failing(client.chat.completions.create({ ...says('头痛', 'own'), n: 2 }));
    expect(two).toBeInstanceOf(BadRequestError);
    expect([two.type, two.message]).toEqual([
      'invalid_request_error',
      expect.stringContaining('n: '),
    ]);
    const other = await failing(client.responses.create({ model: 'own', input: 'hi' }));
    expect(other).toBeInstanceOf(BadRequestError);
  });
});

describe('errors of the client library', () => {
  test('appear for a model that does not exist', async () => {
    const error = await failing(client.chat.completions.create(says('hi', 'nobody')));
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(error.requestID).toEqual(expect.any(String));
    expect(await failing(client.models.retrieve('nobody'))).toBeInstanceOf(NotFoundError);
  });

  test('appear for an invalid key', async () => {
    const error = await failing(routed('wrong').chat.completions.create(says('hi')));
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error).toMatchObject({ status: 401, type: 'authentication_error' });
  });

  test('appear for a refusal of the server', async () => {
    const error = await failing(client.chat.completions.create(says('bad')));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error.message).toBe('400 messages: too bad');
  });
});

test(
  'the program of the page about clients does what the page says',
  async () => {
    const [program = ''] = programsOf('ts', '', scene).map((one) => one.replace('unused', KEY));
    const folder = mkdtempSync(join(ROOT, 'build', 'client-'));
    try {
      const file = join(folder, 'ask.ts');
      writeFileSync(file, program);
      const { stdout } = await run(process.execPath, ['--import', 'tsx', file], { cwd: ROOT });
      expect(stdout).toBe('头痛3\n');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  PATIENT_MS,
);

/** The calls of the server from one on. */
const since = ({ calls }: ToolServer, from: number) => calls.slice(from);

describe('a busy server', () => {
  test.each([
    ['busy 429', RateLimitError],
    ['busy 503', InternalServerError],
  ])('%s: the client gets the error with a retry delay; then it succeeds', async (what, kind) => {
    const before = scene.openai.calls.length;
    const error = await failing(client.chat.completions.create(says(what)));
    expect(error).toBeInstanceOf(kind);
    expect(error.headers?.get('retry-after')).toBe('1');
    const answer = await routed(KEY, 1).chat.completions.create(says(what));
    expect(answer.choices[0]?.message.content).toBe(what);
    expect(since(scene.openai, before)).toHaveLength(2);
  });

  test("is retried by the client after the server's delay", async () => {
    const server = await startOpenai(Number(later.address.split(':')[1]));
    try {
      writeDefinition(scene.folder, later);
      await until('the model is ready', () => readyOf('later'), Boolean, PATIENT_MS);
      const patient = routed(KEY, 1);
      const answer = await patient.chat.completions.create(says('busy 429', 'later'));
      expect(answer.choices[0]?.message.content).toBe('busy 429');
      const [first, second] = server.calls;
      // Timers may come a moment early.
      expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950);
    } finally {
      await server.close();
    }
  });

  test('a model without a replica is a 503 with a retry delay, and the client waits for it', async () => {
    await until(
      'no replica is ready',
      () => readyOf('later'),
      (ready) => !ready,
      PATIENT_MS,
    );
    const error = await failing(client.chat.completions.create(says('hi', 'later')));
    expect(error).toBeInstanceOf(InternalServerError);
    expect(error.status).toBe(503);
    expect(Number(error.headers?.get('retry-after'))).toBeGreaterThan(0);
    const answering = routed(KEY, 100).chat.completions.create(says('hi', 'later'));
    const server = await startOpenai(Number(later.address.split(':')[1]));
    try {
      expect((await answering).choices[0]?.message.content).toBe('hi');
    } finally {
      await server.close();
    }
  });
});

async function readyOf(id: string): Promise<boolean> {
  const headers = { 'x-api-key': KEY };
  const url = `${scene.service.url}/v2/models/${id}/ready`;
  return (await call(url, 'GET', undefined, undefined, headers)).status === 200;
}
