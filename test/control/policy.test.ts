import { mergePatch, toWire } from '../../lib/spec';
import * as attacks from '../support/attacks';
import { model } from '../support/manifests';
import type { Reply, Service } from './support';
import { ask, codeOf, detailsOf, place, serve } from './support';

// Every attack of the table by REST, on a model that is there and by one that is not: each is refused
// with the field it is about, and nothing was stored.

const policy = {
  secrets: attacks.ALLOWED_SECRETS,
  hosts: attacks.ALLOWED_HOSTS,
  registries: attacks.ALLOWED_REGISTRIES,
};

let service: Service;
beforeAll(async () => {
  service = await serve({ more: { policy } });
  await place(service, wire(model(attacks.FULL)));
});
afterAll(() => service.close());

const wire = (definition: object): Record<string, unknown> =>
  toWire(definition as Parameters<typeof toWire>[0]) as Record<string, unknown>;

async function attempts(definition: object): Promise<readonly Reply[]> {
  const config = wire(definition);
  const text = JSON.stringify(wire(model(attacks.FULL)));
  const full: unknown = JSON.parse(text.replaceAll('iris--', 'rose--'));
  const rose = mergePatch(full, config) as object;
  const put = await ask(`${service.url}/api/v1/models/iris`, 'PUT', { config });
  const deploy = `${service.url}/api/v1/models/deploy`;
  return [put, await ask(deploy, 'POST', { config: { ...rose, model_id: 'rose' } })];
}

test.each(attacks.ASKINGS)('REST refuses: %s', async (_, definition, path) => {
  for (const reply of await attempts(definition)) {
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
    const [field] = path.split('.uri');
    const named = detailsOf(reply).some((one) => String(one.path).startsWith(field ?? path));
    expect(named).toBe(true);
  }
});

test.each([...attacks.POD_ATTACKS, ...attacks.OBJECT_ATTACKS])(
  'REST refuses an override: %s (%s)',
  async (_, kind, patch) => {
    const [name = kind] = kind.split('/');
    for (const reply of await attempts({ overrides: { [name]: patch } })) {
      expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_MODEL_CONFIG']);
      expect(detailsOf(reply).map(({ path }) => String(path))).toEqual([
        expect.stringMatching(/^overrides/),
      ]);
    }
  },
);

test('nothing of it was stored', async () => {
  const { body } = await ask(`${service.url}/api/v1/models`);
  expect(body).toMatchObject({ total: 1, models: [{ model_id: 'iris' }] });
  expect(await service.cluster.history('iris')).toHaveLength(1);
});
