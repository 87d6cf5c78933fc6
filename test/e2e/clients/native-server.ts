import type { ToolServer } from './openai-server';
import { json, listen } from './openai-server';

// A small server that speaks native, for the suite: chats, embeds, and adds up numbers.

type Item = Readonly<Record<string, unknown>>;

function resultOf(item: Item): object {
  const { messages, prompt, input, x } = item['input_data'] as Item;
  if (messages !== undefined) {
    const [last] = (messages as readonly { readonly content: string }[]).slice(-1);
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    return { content: `native: ${last?.content}`, finish_reason: 'stop', usage };
  }
  if (prompt !== undefined) return { text: `native: ${String(prompt)}` };
  if (input !== undefined) return { embedding: [0.5, -1] };
  return { sum: (x as readonly number[]).reduce((sum, one) => sum + one, 0) };
}

export function startNative(): Promise<ToolServer> {
  return listen(({ path, body }, response) => {
    if (path === '/inference') return json(response, { result: resultOf(body), confidence: 0.5 });
    if (path === '/batch_inference') {
      const results = (body['requests'] as readonly Item[]).map((item) => ({
        result: resultOf(item),
      }));
      return json(response, { results });
    }
    return json(response, { error: `nothing at ${path}` }, 404);
  });
}
