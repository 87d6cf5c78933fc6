import { requestIdOf, traceparentOf } from '../../runtime/shared/request-id';

const newId = (): string => 'new';

test.each(['job-17:a.b_c', 'YWJj/+==', 'a', 'x'.repeat(128), 'Root=1-67891233-abc'])(
  'the request id %s is kept',
  (given) => expect(requestIdOf(given, newId)).toBe(given),
);

test.each([undefined, '', 'a b', '<script>', 'x'.repeat(129), '-x', 'a\nb', 'a"b', 'é'])(
  'the request id %j is replaced',
  (given) => expect(requestIdOf(given, newId)).toBe('new'),
);

const TRACE = 'a'.repeat(32);
const SPAN = 'b'.repeat(16);

test.each([
  [`00-${TRACE}-${SPAN}-01`, true],
  [`01-${TRACE}-${SPAN}-00`, true],
  [`ff-${TRACE}-${SPAN}-01`, false],
  [`00-${'0'.repeat(32)}-${SPAN}-01`, false],
  [`00-${TRACE}-${'0'.repeat(16)}-01`, false],
  [`00-${TRACE.toUpperCase()}-${SPAN}-01`, false],
  ['nonsense', false],
])('traceparent %s is valid: %s', (given, expected) => {
  expect(traceparentOf(given)).toBe(expected ? given : undefined);
});
