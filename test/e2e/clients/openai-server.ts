import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// A small server that speaks OpenAI, for the suite: it says back what it was told, and misbehaves
// when the message says so.

export interface Call {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Milliseconds since the start of the process. */
  readonly at: number;
  /** The caller left before the answer was whole. */
  wasLeft: boolean;
}

export interface ToolServer {
  readonly address: string;
  readonly url: string;
  readonly calls: Call[];
  readonly close: () => Promise<void>;
}

export type Answer = (call: Call, response: ServerResponse) => void | Promise<void>;

const CREATED = 1_700_000_000;

async function bodyOf(request: IncomingMessage): Promise<Call['body']> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : (JSON.parse(text) as Call['body']);
}

export function json(response: ServerResponse, value: unknown, status = 200, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** A server on loopback that keeps what it was asked. @param port 0: any */
export async function listen(answer: Answer, port = 0): Promise<ToolServer> {
  const calls: Call[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { url: path = '' } = request;
    // The router probes again and again; that is not a call.
    if (path === '/health') return json(response, { status: 'ok' });
    if (path === '/v1/models') return json(response, { object: 'list', data: [] });
    const call: Call = { path, body: await bodyOf(request), at: performance.now(), wasLeft: false };
    calls.push(call);
    response.on('close', () => {
      call.wasLeft = !response.writableFinished;
    });
    await answer(call, response);
  };
  const server = createServer((request, response) => {
    take(request, response).catch((error: unknown) => {
      response.destroy(error as Error);
    });
  });
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    url: `http://${address}`,
    calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

interface Message {
  readonly role: string;
  readonly content: string;
}

const usageOf = (prompt: string, answer: string) => ({
  prompt_tokens: prompt.length,
  completion_tokens: answer.length,
  total_tokens: prompt.length + answer.length,
});

const WEATHER = {
  id: 'call-1',
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"上海"}' },
};

function wholeChat({ body }: Call, said: string): object {
  const message = 'tools' in body ? { tool_calls: [WEATHER], content: null } : { content: said };
  return {
    id: 'chat-1',
    object: 'chat.completion',
    created: CREATED,
    model: body['model'],
    choices: [
      {
        index: 0,
        message: { role: 'assistant', ...message },
        finish_reason: 'tools' in body ? 'tool_calls' : 'stop',
      },
    ],
    usage: usageOf(said, said),
  };
}

/** One event a character; `endless` never ends, and leaves the caller to do so. */
async function streamedChat({ body }: Call, said: string, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const chunk = { id: 'chat-1', object: 'chat.completion.chunk', created: CREATED };
  const event = (more: object): void => {
    response.write(`data: ${JSON.stringify({ ...chunk, model: body['model'], ...more })}\n\n`);
  };
  const choice = (delta: object, finish_reason: string | null = null) => ({
    choices: [{ index: 0, delta, finish_reason }],
  });
  event(choice({ role: 'assistant', content: '' }));
  for (const one of said) event(choice({ content: one }));
  if (said === 'endless') return;
  event(choice({}, 'stop'));
  const { include_usage: isWanted } = (body['stream_options'] ?? {}) as { include_usage?: boolean };
  if (isWanted === true) event({ choices: [], usage: usageOf(said, said) });
  response.end('data: [DONE]\n\n');
}

const refusal = (message: string, type: string) => ({ error: { message, type, code: null } });

function embeddings({ body }: Call): object {
  const input = body['input'];
  const texts = (Array.isArray(input) ? input : [input]) as readonly string[];
  const vectors = texts.map((text) => [text.length, 0.5, -1]);
  const written = (vector: readonly number[]): unknown =>
    body['encoding_format'] === 'base64'
      ? Buffer.from(Float32Array.from(vector).buffer).toString('base64')
      : vector;
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: written(vector),
  }));
  const usage = { prompt_tokens: texts.length, total_tokens: texts.length };
  return { object: 'list', data, model: body['model'], usage };
}

/** What it answers the first time, where the message asks for it; then it is well again. */
const BUSY: Readonly<Record<string, number>> = { 'busy 429': 429, 'busy 503': 503 };

export function startOpenai(port = 0): Promise<ToolServer> {
  const refused = new Set<string>();
  return listen((call, response) => {
    const { path, body } = call;
    if (path === '/v1/embeddings') return json(response, embeddings(call));
    if (path === '/v1/completions') {
      const choices = [{ index: 0, text: body['prompt'], finish_reason: 'stop', logprobs: null }];
      const { model } = body;
      const more = { id: 'text-1', object: 'text_completion', created: CREATED, model };
      return json(response, { ...more, choices });
    }
    if (path === '/v1/responses') {
      const content = [{ type: 'output_text', text: body['input'], annotations: [] }];
      const output = [{ type: 'message', id: 'm-1', role: 'assistant', content }];
      return json(response, { id: 'r-1', object: 'response', model: body['model'], output });
    }
    if (path !== '/v1/chat/completions') {
      return json(response, refusal(`nothing at ${path}`, 'invalid_request_error'), 404);
    }
    const said = (body['messages'] as readonly Message[]).at(-1)?.content ?? '';
    const busy = BUSY[said];
    if (busy !== undefined && !refused.has(said)) {
      refused.add(said);
      return json(response, refusal('later', 'rate_limit_error'), busy, { 'retry-after': '1' });
    }
    if (said === 'bad') {
      return json(response, refusal('messages: too bad', 'invalid_request_error'), 400);
    }
    if (body['stream'] === true) return streamedChat(call, said, response);
    return json(response, wholeChat(call, said));
  }, port);
}
