import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { commandsOf, pages, snippetsOf } from '../support/snippets';
import { writeConfig, writeDefinition } from './beside';
import { json, listen, startOpenai } from './clients/openai-server';
import type { Running } from './service';
import { start, until, workspace } from './service';

// Every `curl` of the documentation, page by page and from top to bottom, against a service that was
// just started with the product's models, as a reader has it, and with a model that chats.

const curlsOf = (page: string): readonly string[] =>
  snippetsOf(page)
    .filter(({ language }) => language === 'sh')
    .flatMap(commandsOf)
    .filter((command) => command.startsWith('curl') && command.includes('//127.0.0.1:8080'));

const withCurls = pages().filter((page) => curlsOf(page).length > 0);

/** Readers wait for what a change began; so does this. */
async function settled({ call }: Running): Promise<void> {
  await until(
    'all models run',
    async () => (await call('GET', '/api/v1/models')).json().models,
    (models: readonly { readonly status: string }[]) =>
      models.every(({ status }) => status === 'running'),
  );
}

async function run(command: string, url: string): Promise<string> {
  const local = command.replaceAll('http://127.0.0.1:8080', url);
  const asked = local.replace(/^curl/, 'curl -sS --fail-with-body');
  try {
    return (await promisify(execFile)('bash', ['-c', asked])).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string };
    throw new Error(`${command}\n${stdout}${stderr}`, { cause: error });
  }
}

test('the pages with calls exist', () => {
  const expected = ['README.md', 'docs/clients.md', 'docs/inference.md', 'docs/rest-api.md'];
  expect(withCurls).toEqual(expect.arrayContaining(expected));
});

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly example?: string;
  }[];
  readonly requestBody?: { readonly content: Record<string, { readonly example?: object }> };
}

/** Changes last, in an order in which each finds what it is about. */
const CHANGES = [
  'Deploy',
  'Traffic',
  'Abort',
  'IdScale',
  'putModelsId',
  'Rollback',
  'Promote',
  'delete',
];
const rank = (id: string): number => CHANGES.findIndex((word) => id.includes(word));

/** Answers as TensorFlow Serving does, and explains as KServe's servers do. */
const startScores = (): ReturnType<typeof listen> =>
  listen(({ path, body }, response) => {
    const call = path.split(':')[1] ?? '';
    const rows = (body[call === 'explain' ? 'instances' : 'examples'] ?? []) as readonly object[];
    json(response, { [call === 'explain' ? 'explanations' : 'results']: rows.map(() => 0.5) });
  });

/** What the page's examples name beside the product's models: one that chats, one with scores. */
async function besideModels(folder: string) {
  const servers = [await startOpenai(), await startScores()] as const;
  const chat = { id: 'chat', protocol: 'openai', address: servers[0].address } as const;
  const scores = { id: 'scores', protocol: 'v1', address: servers[1].address } as const;
  for (const one of [chat, scores]) writeDefinition(folder, one);
  writeConfig(folder, [chat, scores]);
  return async (): Promise<void> => {
    for (const server of servers) await server.close();
  };
}

test('every example of the API page succeeds when its button is pressed', async () => {
  const place = workspace();
  const closeServers = await besideModels(place.folder);
  const service = await start(place.folder, ['--config', 'config.yaml']);
  try {
    const document = (await service.call('GET', '/openapi.json')).json();
    const paths: Record<string, Record<string, Operation>> = document.paths;
    const all = Object.entries(paths)
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
      )
      // The product's models have no rollout, and its page says 404 for them.
      .filter(({ path }) => !path.includes('/rollout'))
      .filter(({ method, operation: { requestBody } }) => {
        const example = requestBody?.content['application/json']?.example;
        return method === 'get' || example !== undefined;
      })
      .toSorted((a, b) => rank(a.operation.operationId) - rank(b.operation.operationId));
    const failed: string[] = [];
    for (const { path, method, operation } of all) {
      await settled(service);
      const given = operation.parameters?.filter(({ example }) => example !== undefined) ?? [];
      const target = given.reduce(
        (text, one) => text.replace(`{${one.name}}`, String(one.example)),
        path,
      );
      const query = given
        .filter((one) => one.in === 'query')
        .map((one) => `${one.name}=${one.example}`);
      const body = operation.requestBody?.content['application/json']?.example;
      const url = query.length === 0 ? target : `${target}?${query.join('&')}`;
      const answer = await service.call(method.toUpperCase(), url, body);
      if (answer.status >= 400) failed.push(`${method} ${url} ${answer.status} ${answer.text}`);
    }
    expect(failed).toEqual([]);
    const asked = all.map(({ operation }) => operation.operationId);
    expect(asked).toEqual(expect.arrayContaining(['openaiChat', 'openaiModel', 'v1Explain']));
    expect(all.length).toBeGreaterThan(33);
  } finally {
    await service.end('SIGTERM');
    await closeServers();
    place.remove();
  }
});

test.each(withCurls)('every curl of %s succeeds', async (page) => {
  const place = workspace();
  const openai = await startOpenai();
  const chat = { id: 'chat', protocol: 'openai', address: openai.address } as const;
  writeDefinition(place.folder, chat);
  writeConfig(place.folder, [chat]);
  const service = await start(place.folder, ['--config', 'config.yaml']);
  try {
    for (const command of curlsOf(page)) {
      await settled(service);
      // No answer has no body, except that of a call whose whole answer is its status.
      if ((await run(command, service.url)) === '') expect(command).toMatch(/health|ready/);
    }
  } finally {
    await service.end('SIGTERM');
    await openai.close();
    place.remove();
  }
});
