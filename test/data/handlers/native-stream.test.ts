import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes, until } from '../../support/plane';
import type { ServerName } from '../../support/servers';
import { BEHAVE, speaking } from '../../support/servers';

// Answers that come as events: the model server's own, or a whole answer told as events.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const NATIVE = '/api/v1/models/iris/inference';
const CHAT = '/openai/v1/chat/completions';
const EVENTS = 'text/event-stream';
const chat = { model: 'iris', messages: [{ role: 'user', content: 'hi' }] };
const native = { input_data: { messages: chat.messages } };

async function scene(server: ServerName, behave: Behave = BEHAVE[server]) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input: speaking(server), ports: { stable: [backend.port] } });
  return { plane, backend };
}

describe('a native caller that accepts events', () => {
  test('has those of an OpenAI server as they come', async () => {
    let next: (text: string) => void = () => undefined;
    async function* parts(): AsyncGenerator<string> {
      for (let at = 0; at < 2; at += 1) {
        yield await new Promise<string>((resolve) => {
          next = resolve;
        });
      }
    }
    const headers = { 'content-type': 'text/event-stream; charset=utf-8' };
    const { plane, backend } = await scene('openai', () => ({
      kind: 'parts',
      headers,
      parts: parts(),
    }));
    const answer = await fetch(`http://127.0.0.1:${plane.port}${NATIVE}`, {
      method: 'POST',
      headers: { accept: EVENTS, authorization: 'Bearer secret' },
      body: JSON.stringify(native),
    });
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('x-ai-model-version')).toBe('v1');
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    for (const event of ['data: {"a":1}\n\n', 'data: [DONE]\n\n']) {
      next(event);
      const { value } = await reader.read();
      expect(Buffer.from(value ?? []).toString()).toBe(event);
    }
    expect((await reader.read()).done).toBe(true);
    const [seen] = backend.seen;
    expect([seen?.url, seen?.headers.authorization]).toEqual(['/v1/chat/completions', undefined]);
    expect(JSON.parse(seen?.body.toString() ?? '')).toEqual({ ...chat, stream: true });
    await until(() => plane.outcomes.length === 1, 'the outcome');
    expect(plane.outcomes[0]?.status).toBe(200);
  });

  test('has an error of that server in native words', async () => {
    const { plane } = await scene('openai', () => json({ error: { message: 'too long' } }, 400));
    const got = await plane.post(NATIVE, native, { accept: EVENTS });
    expect([got.status, JSON.parse(got.text).error]).toMatchObject([
      400,
      { code: 'INVALID_REQUEST', message: 'too long' },
    ]);
  });

  test('has a native answer of a server that does not stream although it is asked to', async () => {
    const { plane } = await scene('openai', () =>
      json({ choices: [{ text: 'hello', finish_reason: 'stop' }] }),
    );
    const got = await plane.post(NATIVE, { input_data: { prompt: 'hi' } }, { accept: EVENTS });
    expect(got.headers['content-type']).toBe('application/json');
    expect(JSON.parse(got.text)).toMatchObject({ output_data: { text: 'hello' } });
  });

  test('is refused a response that is not a stream', async () => {
    const { plane, backend } = await scene('openai');
    const got = await plane.post(NATIVE, { input_data: { input: 'a' } }, { accept: EVENTS });
    expect([got.status, got.text]).toEqual([400, expect.stringContaining('cannot be streamed')]);
    expect(backend.seen).toEqual([]);
  });

  test.each<ServerName>(['native', 'v1', 'tfs', 'v2'])(
    'is refused by a model that speaks %s, unless JSON will do',
    async (server) => {
      const { plane, backend } = await scene(server);
      const item = { input_data: { x: [1, 2] } };
      const got = await plane.post(NATIVE, item, { accept: EVENTS });
      expect([got.status, JSON.parse(got.text).error]).toMatchObject([
        400,
        {
          message:
            'Accept: got text/event-stream, but model iris cannot stream; accept application/json',
        },
      ]);
      expect(backend.seen).toEqual([]);
      for (const accept of [`application/json, ${EVENTS}`, `${EVENTS}, */*;q=0.1`]) {
        const whole = await plane.post(NATIVE, item, { accept });
        expect([whole.status, whole.headers['content-type']]).toEqual([200, 'application/json']);
      }
    },
  );

  test('is served by either of two arms, when JSON will do', async () => {
    const [llm, own] = await Promise.all([
      startBackend(BEHAVE.openai),
      startBackend(BEHAVE.native),
    ]);
    const plane = await startPlane();
    const next = {
      name: 'next',
      version: 'v2',
      image: 'registry.example.org/next:2',
      server: { kind: 'custom', protocol: 'native' },
      traffic: 50,
    } as const;
    const input = { ...speaking('openai'), candidates: [next] };
    plane.route({ input, ports: { stable: [llm.port], next: [own.port] } });
    const ask = (accept: string) =>
      Promise.all([1, 2, 3, 4].map(() => plane.post(NATIVE, native, { accept })));
    const both = await ask(`${EVENTS}, application/json`);
    expect(both.map(({ headers }) => headers['content-type']).sort()).toEqual([
      'application/json',
      'application/json',
      EVENTS,
      EVENTS,
    ]);
    const whole = both.find(({ text }) => text.startsWith('{'));
    expect(JSON.parse(whole?.text ?? '')).toMatchObject({ output_data: { content: 'hello' } });
    const only = await ask(EVENTS);
    expect(only.map(({ status }) => status).sort()).toEqual([200, 200, 400, 400]);
  });
});

describe('an OpenAI caller that asks for a stream', () => {
  test('has the whole answer of a native server as one', async () => {
    const { plane, backend } = await scene('native');
    const got = await plane.post(CHAT, { ...chat, stream: true, temperature: 0 });
    expect([got.status, got.headers['content-type']]).toEqual([200, EVENTS]);
    const events = got.text.split('\n\n').filter((one) => one !== '');
    expect(events.every((one) => one.startsWith('data: '))).toBe(true);
    const chunks = events.slice(0, -1).map((one) => JSON.parse(one.slice(6)).choices[0]);
    expect(chunks).toMatchObject([
      { delta: { role: 'assistant' }, finish_reason: null },
      { delta: { content: 'hello' }, finish_reason: null },
      { delta: {}, finish_reason: 'stop' },
    ]);
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(JSON.parse(backend.seen[0]?.body.toString() ?? '')).toEqual({
      input_data: { messages: chat.messages },
      parameters: { temperature: 0 },
    });
  });

  test('has an error as JSON, before the stream begins', async () => {
    const { plane } = await scene('native', () => json({ error: 'no' }, 400));
    const got = await plane.post(CHAT, { ...chat, stream: true });
    expect([got.status, JSON.parse(got.text)]).toEqual([
      400,
      {
        error: {
          message: 'no',
          type: 'invalid_request_error',
          code: 'invalid_request',
          param: null,
        },
      },
    ]);
  });
});
