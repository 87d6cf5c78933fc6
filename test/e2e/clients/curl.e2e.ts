import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { start, until, workspace } from '../service';
import type { Scene } from './scene';
import { startScene } from './scene';

// curl, as people and scripts use it. What passes is byte for byte what the model server says.

/** A loaded machine is no fault of ours. */
const PATIENT_MS = 120_000;
const run = promisify(execFile);

let scene: Scene;

beforeAll(async () => {
  scene = await startScene();
}, 3 * PATIENT_MS);

afterAll(() => scene?.end());

async function curl(...args: readonly string[]): Promise<Buffer> {
  const all = ['-sS', '--max-time', String(PATIENT_MS / 1000), ...args];
  const options = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const;
  return (await run('curl', all, options)).stdout;
}

/** What `-w` says of one request. */
const told = async (format: string, ...args: readonly string[]): Promise<string> =>
  (await curl('-o', '/dev/null', '-w', format, ...args)).toString();

const text = async (...args: readonly string[]): Promise<string> =>
  (await curl(...args)).toString();

const url = (path: string): string => scene.service.url + path;

const PERSON = {
  'patient_info.age': 61,
  'measurements.bmi': 31.5,
  'measurements.blood_pressure': 145,
};
const NESTED = {
  patient_info: { age: 61 },
  measurements: { bmi: 31.5, blood_pressure: 145 },
};
const PREDICT = JSON.stringify({ instances: [PERSON] });
const X = { name: 'x', datatype: 'FP32', shape: [1, 4], data: [0.1, 2, 3, 4.5] };
const INFER = JSON.stringify({ inputs: [X] });
const JSON_TYPE = ['-H', 'content-type: application/json'];

describe('a passed-through call returns the bytes of the model server', () => {
  const same = async (path: string, ...args: readonly string[]): Promise<Buffer> => {
    const [own, direct] = [url(path), scene.direct + path];
    const answer = await curl(...args, own);
    expect(answer.toString('latin1')).toBe((await curl(...args, direct)).toString('latin1'));
    return answer;
  };

  test('V2 in JSON, with and without a content type', async () => {
    const path = '/v2/models/floats/infer';
    expect((await same(path, '-d', INFER)).toString()).toContain('"outputs"');
    await same(path, ...JSON_TYPE, '-d', INFER);
    await same('/v2/models/floats');
  });

  test('V2 in binary, from a file, there and back', async () => {
    const head = JSON.stringify({
      inputs: [{ ...X, data: undefined, parameters: { binary_data_size: 16 } }],
      parameters: { binary_data_output: true },
    });
    const file = join(scene.folder, 'call.bin');
    const raw = Buffer.from(Float32Array.from(X.data).buffer);
    writeFileSync(file, Buffer.concat([Buffer.from(head), raw]));
    const length = `inference-header-content-length: ${head.length}`;
    const args = ['-H', 'content-type: application/octet-stream', '-H', length];
    const answer = await same('/v2/models/floats/infer', ...args, '--data-binary', `@${file}`);
    expect(answer.includes(0)).toBe(true);
  });

  test('V1', async () => {
    const answer = await same('/v1/models/health_assessment:predict', '-d', PREDICT);
    expect(JSON.parse(answer.toString())).toMatchObject({ predictions: [{ label: 'high' }] });
    await same('/v1/models/health_assessment');
  });

  test('refusals of the server', async () => {
    const answer = await same('/v2/models/floats/infer', '-d', '{"inputs": []}');
    expect(JSON.parse(answer.toString())).toEqual({ error: expect.any(String) });
  });

  test('over HTTP/1.0, whose connections end', async () => {
    const answer = await same('/v2/models/floats/infer', '--http1.0', '-d', INFER);
    expect(answer.toString()).toContain('"outputs"');
    expect(await text('--http1.0', '-I', url('/v2'))).toMatch(/connection: close/i);
  });
});

describe('every protocol', () => {
  test('has native calls and batches', async () => {
    const path = '/api/v1/models/health_assessment';
    const item = { input_data: NESTED };
    const one = await text('-d', JSON.stringify(item), ...JSON_TYPE, url(`${path}/inference`));
    expect(JSON.parse(one)).toMatchObject({ output_data: { label: 'high' } });
    const body = JSON.stringify({ requests: [item, { input_data: { z: 1 } }] });
    const batch = await text('-d', body, ...JSON_TYPE, url(`${path}/batch_inference`));
    expect(JSON.parse(batch)).toMatchObject({ succeeded: 1, failed: 1 });
  });

  test('has OpenAI calls and streams, event by event', async () => {
    const chat = { model: 'chat', messages: [{ role: 'user', content: '头痛' }] };
    const path = '/openai/v1/chat/completions';
    const whole = await text('-d', JSON.stringify(chat), url(path));
    expect(JSON.parse(whole).choices[0].message.content).toBe('头痛');
    const body = JSON.stringify({ ...chat, stream: true });
    const events = await text('-N', '-d', body, url(path));
    expect(events).toBe(await text('-N', '-d', body, `${scene.openai.url}/v1/chat/completions`));
    expect(events).toMatch(/^data: \{[\s\S]*\ndata: \[DONE\]\n\n$/);
  });

  test('has a native stream, over HTTP/1.0 as well', async () => {
    const body = JSON.stringify({ input_data: { messages: [{ role: 'user', content: 'hi' }] } });
    const args = ['-N', ...JSON_TYPE, '-H', 'accept: text/event-stream', '-d', body];
    const events = await text(...args, url('/api/v1/models/chat/inference'));
    expect(events).toContain('data: [DONE]');
    expect(await text('--http1.0', ...args, url('/api/v1/models/chat/inference'))).toBe(events);
  });

  test('has probes', async () => {
    expect(JSON.parse(await text(url('/v2/health/ready')))).toEqual({ ready: true });
    expect(JSON.parse(await text(url('/health/ready')))).toMatchObject({ status: 'ready' });
    expect(JSON.parse(await text(url('/')))).toEqual({ status: 'alive' });
  });
});

describe('curl', () => {
  test('gets 100 Continue for a large body', async () => {
    const longs = Array.from({ length: 300_000 }, (_, index) => index + 1_000_000);
    const shape = [longs.length / 3, 3];
    const file = join(scene.folder, 'large.json');
    const inputs = [{ name: 'x', datatype: 'INT64', shape, data: longs }];
    writeFileSync(file, JSON.stringify({ inputs }));
    const path = '/v2/models/longs/infer';
    const args = ['-H', 'expect: 100-continue', '--data-binary', `@${file}`];
    const answer = await curl('-v', '--stderr', '-', ...args, url(path));
    expect(answer.includes('HTTP/1.1 100 Continue')).toBe(true);
    const direct = await curl(...args, scene.direct + path);
    expect(direct.length).toBeGreaterThan(2_000_000);
    expect(answer.includes(direct)).toBe(true);
  });

  test('gets a refusal instead for a body that is not accepted', async () => {
    const file = join(scene.folder, 'huge.json');
    writeFileSync(file, Buffer.alloc(40 * 1024 * 1024, ' '));
    const args = ['-H', 'expect: 100-continue', '--data-binary', `@${file}`];
    const said = await told('%{http_code} %{size_upload}', ...args, url('/v2/models/longs/infer'));
    expect(said).toBe('413 0');
  });

  test('may use --compressed', async () => {
    const body = ['--data-binary', INFER];
    const packed = await text('--compressed', ...body, url('/v2/models/packed/infer'));
    expect(packed).toBe(await text(...body, url('/v2/models/packed/infer')));
    expect(scene.packed.calls.map(({ back }) => back)).toContain(true);
    const plain = await text('--compressed', ...body, url('/v2/models/floats/infer'));
    expect(plain).toBe(packed);
  });

  test('gets GET without a body for HEAD', async () => {
    for (const path of ['/v2/health/ready', '/v2/models/floats', '/openai/v1/models', '/health']) {
      const head = await text('-I', url(path));
      const length = String((await curl(url(path))).length);
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      // The time of a health report is in its body.
      if (path !== '/health') expect(/content-length: (\d+)/i.exec(head)?.[1]).toBe(length);
    }
  });

  test('gets the methods for OPTIONS', async () => {
    const options = (path: string) => text('-i', '-X', 'OPTIONS', url(path));
    expect(await options('/v2/models/floats/infer')).toMatch(/ 204 .*\r\n[^]*allow: POST\r\n/);
    expect(await options('/openai/v1/models')).toMatch(/ 204 .*\r\n[^]*allow: GET, HEAD\r\n/);
    expect(await options('/api/v1/models')).toMatch(/ 204 .*\r\n[^]*allow: GET, HEAD\r\n/);
  });

  test('shares a connection for two requests of one command', async () => {
    const next = ['-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n'];
    const said = await text(
      ...next,
      '-d',
      INFER,
      url('/v2/models/floats/infer'),
      '--next',
      '-sS',
      ...next,
      url('/v2/models/floats'),
    );
    expect(said).toBe('200 1\n200 0\n');
  });
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === '::1');
if (!hasIpv6) process.stderr.write('SKIPPED: curl over IPv6: this machine has no ::1\n');

(hasIpv6 ? describe : describe.skip)('over IPv6', () => {
  test(
    'returns the response of the model server',
    async () => {
      const place = workspace();
      const service = await start(place.folder, ['--host', '::1']);
      try {
        expect(service.url).toMatch(/^http:\/\/\[::1\]:/);
        const ready = `${service.url}/v2/models/health_assessment/ready`;
        const status = () => told('%{http_code}', '-g', ready);
        await until('the model is ready', status, (seen) => seen === '200', PATIENT_MS);
        const path = '/v1/models/health_assessment:predict';
        const own = await text('-g', '-d', PREDICT, service.url + path);
        expect(own).toBe(await text('-d', PREDICT, scene.direct + path));
      } finally {
        await service.end('SIGTERM');
        place.remove();
      }
    },
    3 * PATIENT_MS,
  );
});
