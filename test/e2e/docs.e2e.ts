import { execFileSync } from 'node:child_process';
import { commandsOf, pages, snippetsOf } from '../support/snippets';
import type { Running } from './service';
import { start, until, workspace } from './service';

// Every `curl` of the documentation, page by page and from top to bottom, against a service that was
// just started with the product's models, as a reader has it.

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

function run(command: string, url: string): string {
  const local = command.replaceAll('http://127.0.0.1:8080', url);
  const asked = local.replace(/^curl/, 'curl -sS --fail-with-body');
  try {
    return execFileSync('bash', ['-c', asked], { encoding: 'utf8' });
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string };
    throw new Error(`${command}\n${stdout}${stderr}`, { cause: error });
  }
}

test('the pages that show calls are there', () => {
  const expected = ['README.md', 'README.zh-CN.md', 'docs/inference.md', 'docs/rest-api.md'];
  expect(withCurls).toEqual(expect.arrayContaining(expected));
});

test.each(withCurls)('every curl of %s answers', async (page) => {
  const place = workspace();
  const service = await start(place.folder);
  try {
    for (const command of curlsOf(page)) {
      await settled(service);
      // No answer has no body, except that of a call whose whole answer is its status.
      if (run(command, service.url) === '') expect(command).toMatch(/health|ready/);
    }
  } finally {
    await service.end('SIGTERM');
    place.remove();
  }
});
