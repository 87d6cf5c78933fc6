import { BodyTooLarge } from '../../../runtime/shared/body';
import { MemoryFull } from '../../../runtime/shared/held-bytes';
import { CallerGone, failureOf, poisoned, rejected } from '../../../runtime/data/upstream/failure';
import { Refusal } from '../../../runtime/data/transcode/refusal';

test.each([
  ['an invalid body', new Refusal('INVALID_REQUEST', 'no'), 400],
  ['a body too large when inflated', new BodyTooLarge(1), 413],
  ['no memory left', new MemoryFull('service'), 503],
  ['an error of the router', new TypeError('x'), 500],
])('%s is rejected with the status that its caller gets', (_, error, status) => {
  const result = rejected(error);
  expect(result).toEqual({ kind: 'rejected', status, error });
  expect(failureOf({ kind: 'failed', arm: undefined, result, tries: 1 }, 'm')).toBe(error);
});

test('a caller that has gone gets no response', () => {
  const result = rejected(new CallerGone());
  expect(result).toEqual({ kind: 'aborted' });
  const failure = failureOf({ kind: 'failed', arm: undefined, result, tries: 1 }, 'm');
  expect(failure).toBeInstanceOf(CallerGone);
});

test('a request that crashed two servers is refused, with the time after which it may be retried', () => {
  const result = poisoned('m', 1_500);
  expect(result).toMatchObject({ kind: 'rejected', status: 503 });
  expect(failureOf({ kind: 'failed', arm: undefined, result, tries: 1 }, 'm')).toMatchObject({
    status: 503,
    retryAfterSeconds: 2,
  });
});
