import { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import { retryOnConflict } from '../../../../runtime/cluster/kubernetes/client/request-retry';

const lost = new KubeError('status', 'changed', { status: 409, reason: 'Conflict' });
const owned = new KubeError('status', 'owned', {
  status: 409,
  causes: [
    { reason: 'FieldManagerConflict', message: 'conflict with "kubectl"', field: '.data.a' },
  ],
});

/** Fails with these errors, one after another, then succeeds; tells how often it was called. */
function failing(...errors: readonly Error[]): jest.Mock<Promise<string>> {
  const attempt = jest.fn(() => Promise.resolve('written'));
  for (const error of errors) attempt.mockRejectedValueOnce(error);
  return attempt;
}

test('a writer that lost a race tries again, ten times at most', async () => {
  const twice = failing(lost, lost);
  expect(await retryOnConflict(twice)).toBe('written');
  expect(twice).toHaveBeenCalledTimes(3);
  const always = failing(...Array.from({ length: 20 }, () => lost));
  await expect(retryOnConflict(always)).rejects.toMatchObject({ kind: 'contention' });
  expect(always).toHaveBeenCalledTimes(10);
});

test('no race begins a minute after the first one', async () => {
  let now = 0;
  const slow = failing(lost, lost, lost);
  const at = retryOnConflict(
    () => {
      now += 25_000;
      return slow();
    },
    () => now,
  );
  await expect(at).rejects.toMatchObject({ kind: 'contention', message: 'changed' });
  expect(slow).toHaveBeenCalledTimes(3);
});

test.each([
  ['a field that another manager owns', owned],
  ['an overloaded server', new KubeError('status', 'etcd', { status: 503 })],
  ['the end of races within it', new KubeError('contention', 'changed')],
])('%s is not a lost race', async (_, error) => {
  const attempt = failing(error);
  await expect(retryOnConflict(attempt)).rejects.toBe(error);
  expect(attempt).toHaveBeenCalledTimes(1);
});
