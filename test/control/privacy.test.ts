import * as fc from 'fast-check';
import { createAuthenticate, newKey } from '../../runtime/auth';
import type { Service } from './support';
import { ask, iris, place, serve } from './support';
import { rounds } from '../support/rounds';

/** The delay of answers to guesses is not what this tests. */
function atOnce(work: () => void): () => void {
  setImmediate(work);
  return () => undefined;
}

const { key, sha256 } = newKey();
const { authenticate } = createAuthenticate(
  { keys: [{ name: 'app', sha256, scopes: ['read', 'write'] }] },
  { loopback: true, clock: { now: Date.now, setTimeout: atOnce } },
);

let service: Service;
beforeAll(async () => {
  service = await serve({ authenticate });
  await place(service, iris());
});
afterAll(() => service.close());

/** Everything that outlives a request: metrics of both ports, the log, the record of changes. */
async function traces(): Promise<string> {
  const headers = { 'x-api-key': key };
  const texts = await Promise.all([
    fetch(`${service.url}/metrics`, { headers }).then((reply) => reply.text()),
    fetch(`${service.opsUrl}/internal/load`).then((reply) => reply.text()),
  ]);
  return [...texts, JSON.stringify(service.logged), JSON.stringify(service.audit)].join('\n');
}

/** Text that cannot come from anywhere but the request. */
const marker = fc.stringMatching(/^[a-z]{12}$/).map((word) => `Zq${word}`);

/** A body with the marker in any place one can put it. */
const bodyWith = (mark: string): fc.Arbitrary<string> =>
  fc.constantFrom(
    JSON.stringify({ config: iris({ name: mark, labels: { [mark]: mark } }) }),
    JSON.stringify({ config: { version: mark, [mark]: 1 } }),
    JSON.stringify({ config: iris({ framework: mark, environment_variables: { A: mark } }) }),
    JSON.stringify({ replicas: mark }),
    JSON.stringify({ candidate: mark, percent: 5 }),
    JSON.stringify({ [mark]: [mark] }),
    `{"config": ${mark}`,
    `${mark}{`,
  );

const calls = fc.constantFrom(
  ['POST', '/api/v1/models/deploy'],
  ['POST', '/api/v1/models/deploy?dry_run=true'],
  ['PUT', '/api/v1/models/iris'],
  ['POST', '/api/v1/models/iris/scale'],
  ['POST', '/api/v1/models/iris/traffic'],
  ['POST', '/api/v1/models/iris/promote'],
  ['POST', '/api/v1/models/iris/abort'],
);

test('no text of a body, header, key or query is in metrics, log or audit', async () => {
  await fc.assert(
    fc.asyncProperty(
      marker.chain((mark) => fc.tuple(fc.constant(mark), bodyWith(mark), calls)),
      async ([mark, body, [method, path]]) => {
        await fetch(`${service.url}${path}`, {
          method: method ?? 'POST',
          body,
          headers: {
            'content-type': 'application/json',
            'x-api-key': key,
            'x-user-id': mark,
            authorization: `Bearer ${mark}`,
            cookie: `session=${mark}`,
          },
        }).then((reply) => reply.text());
        await ask(`${service.url}/api/v1/models/${mark}/explain?key=${mark}`, 'GET', undefined, {
          'x-api-key': mark,
        });
        await ask(`${service.url}/api/v1/models/iris/explain?key=${mark}`, 'GET', undefined, {
          'x-api-key': key,
        });
        const found = await traces();
        expect(found).not.toContain(mark);
        expect(found).not.toContain(key);
      },
    ),
    { numRuns: rounds(20) },
  );
  expect(service.audit.length).toBeGreaterThan(20);
}, 30_000);
