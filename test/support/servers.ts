import type { ModelInput } from '../../lib/spec';
import type { Behave, Behaviour } from './backend';
import { json } from './backend';

// A model that adds one, as servers of each protocol would serve it. What they do not have is a 404.

export type ServerName = 'native' | 'v1' | 'tfs' | 'v2' | 'openai';

type Plain = Readonly<Record<string, unknown>>;
interface Tensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

const nothing = (url: string): Behaviour => json({ error: `nothing at ${url}` }, 404);

function incremented(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(incremented);
  if (typeof value !== 'number') throw new Error('x must hold numbers');
  return value + 1;
}

function resultOf({ messages, prompt, input, x }: Plain): unknown {
  if (messages !== undefined) return { content: 'hello' };
  if (prompt !== undefined) return 'hello';
  return input === undefined ? { y: incremented(x) } : { embedding: [0.5, 1] };
}

/** A result, or the error that stands in its place. */
function itemOf(item: Plain): object {
  try {
    return { result: resultOf(item['input_data'] as Plain) };
  } catch (error) {
    return { error: { message: (error as Error).message } };
  }
}

const native: Behave = ({ url, body }) => {
  const call = JSON.parse(body.toString()) as Plain;
  if (url === '/batch_inference') {
    return json({ results: (call['requests'] as readonly Plain[]).map(itemOf) });
  }
  if (url !== '/inference') return nothing(url);
  const item = itemOf(call);
  return json(item, 'error' in item ? 400 : 200);
};

const rows: Behave = ({ url, body }) => {
  if (url === '/v1/models/iris') return json({ name: 'iris', ready: true });
  if (url !== '/v1/models/iris:predict') return nothing(url);
  const { instances } = JSON.parse(body.toString()) as { instances: readonly unknown[] };
  const predictions = instances.map((row) => {
    const named = typeof row === 'object' && row !== null && 'x' in row;
    return incremented(named ? row.x : row);
  });
  return json({ predictions });
};

const SIGNATURE = {
  inputs: { x: { dtype: 'DT_FLOAT', tensor_shape: { dim: [{ size: '-1' }, { size: '2' }] } } },
  outputs: { y: { dtype: 'DT_STRING', tensor_shape: { unknown_rank: true } } },
};

const tfs: Behave = (seen, nth) => {
  if (seen.url !== '/v1/models/iris/metadata') return rows(seen, nth);
  const signature_def = { serving_default: SIGNATURE };
  return json({ model_spec: {}, metadata: { signature_def: { signature_def } } });
};

const METADATA = {
  name: 'iris',
  versions: ['1'],
  platform: 'own',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
};

const v2: Behave = ({ url, method, body }) => {
  if (url === '/v2/models/iris' && method === 'GET') return json(METADATA);
  if (url !== '/v2/models/iris/infer') return nothing(url);
  const { inputs } = JSON.parse(body.toString()) as { inputs: readonly [Tensor] };
  const [{ shape, data }] = inputs;
  return json({ outputs: [{ name: 'y', datatype: 'FP32', shape, data: incremented(data) }] });
};

const openai: Behave = ({ url, body }) => {
  const { stream, input } = JSON.parse(body.toString()) as Plain;
  if (stream === true) {
    const headers = { 'content-type': 'text/event-stream' };
    return { kind: 'answer', headers, body: 'data: {"delta":"hello"}\n\ndata: [DONE]\n\n' };
  }
  if (url === '/v1/embeddings') return json({ data: [{ index: 0, embedding: [0.5, 1] }], input });
  if (url === '/v1/completions') {
    return json({ choices: [{ text: 'hello', finish_reason: 'stop' }] });
  }
  if (url !== '/v1/chat/completions') return nothing(url);
  const message = { role: 'assistant', content: 'hello' };
  return json({ choices: [{ message, finish_reason: 'stop' }] });
};

export const BEHAVE: Readonly<Record<ServerName, Behave>> = { native, v1: rows, tfs, v2, openai };

/** A definition whose server speaks one protocol. */
export const speaking = (protocol: ServerName): Partial<ModelInput> => ({
  id: 'iris',
  framework: 'custom',
  image: 'registry.example.org/iris:1',
  server: { kind: 'custom', protocol },
});
