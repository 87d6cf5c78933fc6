import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { callerAddress, trustedProxiesOf } from '../../runtime/shared/trusted-proxies';

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

describe('the address of a caller', () => {
  const trust = trustedProxiesOf(['10.0.0.0/8']);
  const from = (forwarded: string, remoteAddress = '10.0.0.1'): string =>
    callerAddress(trust, { fields: new Map([['x-forwarded-for', forwarded]]), remoteAddress });

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['1.2.3.4, 2001:db8::7 , 10.0.0.2', '2001:db8::7'],
    ['', '10.0.0.1'],
    ['10.0.0.2', '10.0.0.1'],
    ['unknown', '10.0.0.1'],
    ['203.0.113.9, x'.repeat(500), '10.0.0.1'],
  ])('told by a proxy as %j is %s', (forwarded, expected) => {
    expect(from(forwarded)).toBe(expected);
  });

  test('is that of the socket without a trusted proxy', () => {
    expect(from('203.0.113.9', '192.0.2.1')).toBe('192.0.2.1');
  });

  test('does not keep the head alive that it was told in', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const tell = (nth: number): string => {
      const head = Buffer.alloc(50_000, 'x').toString('latin1') + nth;
      return from(`${head}, 203.0.113.${nth % 256}`);
    };
    collect();
    const before = process.memoryUsage().heapUsed;
    const told = Array.from({ length: 1000 }, (_, nth) => tell(nth));
    collect();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000);
    expect(told).toHaveLength(1000);
  });
});
