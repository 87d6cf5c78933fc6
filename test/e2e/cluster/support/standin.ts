import type { ModelInput } from '../../../../lib/spec';
import { DEFAULT_IMAGES } from '../../../../lib/spec';

// Model servers of a few lines, run by Node of our own image: no other image is needed.

export const NODE = '/usr/local/bin/node';

/** Behaves as its environment says; without any it is a server that drains as a good one does. */
const SCRIPT = `
const { DELAY_MS = 0, ANSWER = 'one', CRASH, EAT, BURN_MS = 0, SICK, PORT = 8080 } = process.env;
if (CRASH) { console.error(CRASH); process.exit(3); }
if (EAT) { const kept = []; setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 10); }
let now = 0, most = 0;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const burn = (ms) => { for (const end = Date.now() + ms; Date.now() < end;); };
const server = require('http').createServer(async (request, response) => {
  request.resume();
  response.setHeader('content-type', 'application/json');
  if (request.method === 'GET') return response.writeHead(SICK ? 500 : 200).end(SICK || '{}');
  now += 1;
  most = Math.max(most, now);
  burn(Number(BURN_MS));
  await wait(Number(DELAY_MS));
  now -= 1;
  response.end(JSON.stringify({ result: { answer: ANSWER, most } }));
});
server.listen(Number(PORT));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

export interface StandIn {
  readonly DELAY_MS?: string;
  readonly ANSWER?: string;
  readonly CRASH?: string;
  readonly EAT?: string;
  readonly BURN_MS?: string;
  readonly SICK?: string;
}

/** A model served by a stand-in. */
export function standIn(id: string, env: StandIn = {}, more: Partial<ModelInput> = {}): ModelInput {
  return {
    id,
    version: 'v1',
    framework: 'custom',
    image: DEFAULT_IMAGES.onnx,
    command: [NODE, '-e', SCRIPT],
    env: { ...env },
    resources: { cpu: '10m', memory: '96Mi' },
    health: { periodSeconds: 1, startupSeconds: 60 },
    inference: { timeoutSeconds: 5, maxConcurrency: 128 },
    ...more,
  };
}

export const ASK = { input_data: { text: 'x' } };

/** Requests a second of a steady load; a machine that cannot make so many is asked for fewer. */
export const RATE = Number(process.env['E2E_RATE'] ?? 200);

/** One that goes to sleep when nobody wants it, and that hundreds may wake. */
export const sleepy = (): ModelInput =>
  standIn(
    'sleepy',
    { DELAY_MS: '100' },
    {
      scaling: {
        minReplicas: 0,
        maxReplicas: 2,
        targetConcurrency: 100,
        scaleDownWindowSeconds: 10,
      },
      inference: { timeoutSeconds: 60, maxConcurrency: 128, maxQueueDepth: 1000 },
    },
  );
