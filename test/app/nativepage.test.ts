import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { parseConfig } from '../../runtime/app/config';
import type { Service } from '../../runtime/app/service';
import { startService } from '../../runtime/app/service';
import { until } from '../support/plane';
import { snippetsOf } from '../support/snippets';

// The server of docs/native-server.md behind the router, as the page shows both.

const PAGE = 'docs/native-server.md';
const snippet = (language: string, info: string): string => {
  const found = snippetsOf(PAGE).find((one) => one.language === language && one.info === info);
  if (found === undefined) throw new Error(`${PAGE} shows no ${language} ${info}`);
  return found.text;
};
const hasPython = spawnSync('python3', ['--version']).status === 0;
const quiet = (): void => undefined;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function startPython(folder: string, port: number) {
  const file = join(folder, 'server.py');
  writeFileSync(file, snippet('python', 'server.py'));
  const env = { ...process.env, PORT: String(port) };
  return spawn('python3', ['-u', file], { env, stdio: 'ignore' });
}

/** Definition and configuration of the page; only its port and its health period are the test's. */
function startRouter(folder: string, port: number): Promise<Service> {
  const definition = parse(snippet('yaml', 'definition')) as object;
  const models = JSON.stringify({ ...definition, health_check: { period: 1 } });
  writeFileSync(join(folder, 'symptom_counter.json'), models);
  const config = parse(snippet('yaml', 'config').replace(':9000', `:${port}`)) as {
    readonly local: object;
  };
  const text = stringify({
    server: { port: 0, accept_seconds: 0 },
    models: { directory: folder },
    local: { ...config.local, directory: join(folder, 'state') },
  });
  return startService({
    config: parseConfig(text),
    cwd: folder,
    env: {},
    spawnServer: { command: process.execPath, args: [] },
    version: 'test',
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet } as never,
  });
}

if (hasPython) {
  test('the server of the page answers calls, batches and invalid requests, and ends on SIGTERM', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'native-'));
    const port = await freePort();
    const python = startPython(folder, port);
    const gone = once(python, 'exit');
    const service = await startRouter(folder, port);
    const call = async (path: string, body: object) => {
      const reply = await fetch(`${service.url}/api/v1/models/symptom_counter/${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
      });
      return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
    };
    try {
      await until(
        () => service.snapshot().models.get('symptom_counter')?.arms[0]?.ready === 1,
        'it',
      );
      const good = { input_data: { symptoms: ['头痛', '乏力'] } };
      const answer = { output_data: { symptoms: 2 }, confidence: 0.9, model_version: '1.0.0' };
      expect(await call('inference', good)).toMatchObject({ status: 200, body: answer });
      expect(await call('inference', { input_data: {} })).toMatchObject({
        status: 400,
        body: {
          error: {
            code: 'INVALID_REQUEST',
            message: "cannot read the input: KeyError('symptoms')",
          },
        },
      });
      const batch = await call('batch_inference', { requests: [good, { input_data: {} }, good] });
      expect(batch).toMatchObject({ status: 200, body: { succeeded: 2, failed: 1 } });
    } finally {
      await service.close();
      python.kill('SIGTERM');
      const [code] = (await gone) as [number | null];
      rmSync(folder, { recursive: true, force: true });
      expect(code).toBe(0);
    }
  });
} else {
  // oxlint-disable-next-line jest/no-disabled-tests
  test.skip('python3 is missing: the server of the page was not run', () => undefined);
}
