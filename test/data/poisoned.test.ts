import type { Backend } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { PlaneOptions, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import { connect, startGrpc, stopGrpc } from './grpc/support';

// A request during which the processes of two replicas died is not sent again for a while.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

/** Answers, and dies of a request that holds `deadly`: as kill −9, with the table told of it. */
class Fleet {
  private live: Backend[] = [];
  plane!: TestPlane;
  deaths = 0;
  /** What dies is not seen to be gone. */
  isBlind = false;

  constructor(private readonly input: object = {}) {}

  async start(size: number, options: PlaneOptions = {}): Promise<void> {
    this.plane = await startPlane(options);
    for (let count = 0; count < size; count += 1) await this.add();
  }

  async add(): Promise<void> {
    const backend: Backend = await startBackend(async ({ body }) => {
      if (!body.includes('deadly')) return json({ result: { y: 1 }, outputs: [] });
      this.deaths += 1;
      await this.kill(backend);
      return { kind: 'reset' };
    });
    this.live.push(backend);
    this.route();
  }

  async kill(backend: Backend | undefined = this.live[0]): Promise<void> {
    this.live = this.live.filter((one) => one !== backend);
    await backend?.kill();
    if (!this.isBlind) this.route();
  }

  private route(): void {
    const ports = { stable: this.live.map(({ port }) => port) };
    const server = { kind: 'triton' as const };
    this.plane.route({ input: { id: 'iris', server, ...this.input }, ports });
  }

  infer(text: string) {
    const inputs = [{ name: 'x', datatype: 'BYTES', shape: [1], data: [text] }];
    return this.plane.post('/v2/models/iris/infer', { inputs });
  }
}

test('a request that crashes two replicas is refused, and others are answered', async () => {
  const fleet = new Fleet();
  await fleet.start(4);
  expect((await fleet.infer('deadly')).status).toBe(502);
  expect(fleet.deaths).toBe(2);
  const again = await fleet.infer('deadly');
  expect(again.status).toBe(503);
  expect(again.text).toMatch(/two replicas of model iris ended.*not sent again for \d+ s/);
  expect(Number(again.headers['retry-after'])).toBeGreaterThan(0);
  expect(fleet.deaths).toBe(2);
  expect((await fleet.infer('harmless')).status).toBe(200);
  const [arm] = fleet.plane.load.arms();
  expect(arm?.poisoned).toBe(2);
  expect(fleet.plane.outcomes.map(({ status }) => status)).toEqual([502, 503, 200]);
});

test('also over connections that were used before', async () => {
  const fleet = new Fleet();
  await fleet.start(4);
  for (let turn = 0; turn < 12; turn += 1) await fleet.infer('harmless');
  expect((await fleet.infer('deadly')).status).toBe(502);
  expect((await fleet.infer('deadly')).status).toBe(503);
  expect(fleet.deaths).toBe(2);
});

test('a single killed replica refuses no request', async () => {
  const fleet = new Fleet();
  await fleet.start(3);
  const running = Array.from({ length: 12 }, () => fleet.infer('harmless'));
  await fleet.kill();
  expect((await Promise.all(running)).map(({ status }) => status)).toEqual(Array(12).fill(200));
  expect((await fleet.infer('harmless')).status).toBe(200);
  expect(fleet.plane.load.arms()[0]?.poisoned).toBe(0);
});

test('servers that break connections and survive refuse no request', async () => {
  const fleet = new Fleet();
  fleet.isBlind = true;
  await fleet.start(4);
  expect((await fleet.infer('deadly')).status).toBe(502);
  expect((await fleet.infer('deadly')).status).toBe(502);
  expect(fleet.plane.load.arms()[0]?.poisoned).toBe(0);
});

test('native calls are recognized by the body that is sent for them', async () => {
  const fleet = new Fleet({ server: { kind: 'custom' }, image: 'a/b:1' });
  await fleet.start(4);
  const call = () =>
    fleet.plane.post('/api/v1/models/iris/inference', { input_data: { text: 'deadly' } });
  expect((await call()).status).toBe(502);
  const again = await call();
  expect(again.status).toBe(503);
  expect(JSON.parse(again.text)).toMatchObject({ error: { code: 'UPSTREAM_ERROR' } });
  expect(fleet.deaths).toBe(2);
});

test('over gRPC the refusal is UNAVAILABLE, with a retry delay', async () => {
  const fleet = new Fleet();
  await fleet.start(4);
  const { port } = await startGrpc(fleet.plane);
  const contents = { bytes_contents: [Buffer.from('deadly')] };
  const inputs = [{ name: 'x', datatype: 'BYTES', shape: ['1'], contents }];
  const infer = () => connect(port).fail('ModelInfer', { model_name: 'iris', inputs });
  const UNAVAILABLE = 14;
  const first = await infer();
  expect([first.code, first.metadata.get('retry-after')]).toEqual([UNAVAILABLE, []]);
  const again = await infer();
  expect([again.code, again.details]).toEqual([
    UNAVAILABLE,
    expect.stringMatching(/two replicas of model iris ended.*not sent again for \d+ s/),
  ]);
  expect(Number(again.metadata.get('retry-after')[0])).toBeGreaterThan(0);
  expect(fleet.deaths).toBe(2);
});

test('while a request is refused, requests of its model go unbatched', async () => {
  const batching = { maxSize: 8, maxDelayMs: 0, rowsIndependent: true };
  const fleet = new Fleet({ inference: { batching } });
  await fleet.start(6);
  await fleet.infer('deadly');
  await until(() => (fleet.plane.load.arms()[0]?.poisoned ?? 0) > 0, 'the request is known');
  const { deaths } = fleet;
  const all = await Promise.all([fleet.infer('deadly'), fleet.infer('harmless')]);
  expect(all.map(({ status }) => status)).toEqual([503, 200]);
  expect(fleet.deaths).toBe(deaths);
});

test('a non-idempotent request crashes one replica, and is not recognized again', async () => {
  const fleet = new Fleet({ inference: { idempotent: false } });
  await fleet.start(3);
  expect((await fleet.infer('deadly')).status).toBe(502);
  expect(fleet.deaths).toBe(1);
  expect(fleet.plane.load.arms()[0]?.poisoned).toBe(0);
});
