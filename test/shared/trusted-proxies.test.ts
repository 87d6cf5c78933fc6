import { trustedProxiesOf } from '../../runtime/shared/trusted-proxies';

test.each([
  ['10.1.2.3', true],
  ['::ffff:10.1.2.3', true],
  ['11.0.0.1', false],
  ['192.0.2.7', true],
  ['192.0.2.8', false],
  ['2001:db8::1', true],
  ['2001:db9::1', false],
  ['', false],
  ['nonsense', false],
])('%s: trusted %s', (address, expected) => {
  expect(trustedProxiesOf(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'])(address)).toBe(expected);
});
