import { ours, settled } from './support';

// Every one is followed at once by a second request. Whoever takes the first one apart in another
// way than we do must not find a second one that we have not seen, nor we one that it has not sent.

const CANARY = 'GET /canary HTTP/1.1\r\nHost: x\r\n\r\n';
const line = (first: string): string => `${first}\r\nHost: x\r\n\r\n`;
const post = (headers: string, body = ''): string =>
  `POST /first HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
const chunked = (body: string): string => post('Transfer-Encoding: chunked', body);

const LONG = 'a'.repeat(20_000);
const MANY = Array.from({ length: 101 }, (_, index) => `X-${index}: 1`).join('\r\n');

const MALFORMED: readonly (readonly [string, string])[] = [
  ['length and chunks', post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
  ['chunks and length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')],
  ['two equal lengths', post('Content-Length: 3\r\nContent-Length: 3', 'abc')],
  ['two lengths', post('Content-Length: 3\r\nContent-Length: 30', 'abc')],
  ['lengths in a list', post('Content-Length: 3, 3', 'abc')],
  ['length with a sign', post('Content-Length: +3', 'abc')],
  ['negative length', post('Content-Length: -3', 'abc')],
  ['hexadecimal length', post('Content-Length: 0x3', 'abc')],
  ['length with a fraction', post('Content-Length: 3.0', 'abc')],
  ['length with an exponent', post('Content-Length: 3e0', 'abc')],
  ['length with a blank inside', post('Content-Length: 3 3', 'abc')],
  ['empty length', post('Content-Length:', 'abc')],
  ['length of 2^64', post('Content-Length: 18446744073709551616', 'abc')],
  ['length of 2^64 + 3', post('Content-Length: 18446744073709551619', 'abc')],
  ['length with a tab behind', post('Content-Length: 3\t', 'abc')],
  ['coding with a tab behind', post('Transfer-Encoding: chunked\t', '0\r\n\r\n')],
  ['length with a vertical tab', post('Content-Length: \x0b3', 'abc')],
  ['length in other digits', post('Content-Length: \xb3', 'abc')],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n')],
  ['two codings', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n')],
  ['chunked not last', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n')],
  [
    'two coding headers',
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'),
  ],
  ['unknown coding', post('Transfer-Encoding: xchunked', '0\r\n\r\n')],
  ['empty coding', post('Transfer-Encoding:', '0\r\n\r\n')],
  ['coding in quotes', post('Transfer-Encoding: "chunked"', '0\r\n\r\n')],
  ['coding with a vertical tab', post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n')],
  ['coding with a parameter', post('Transfer-Encoding: chunked;a=b', '0\r\n\r\n')],
  [
    'chunks in HTTP/1.0',
    'POST /first HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['blank before the colon', post('Content-Length : 3', 'abc')],
  ['blank before the colon of a coding', post('Transfer-Encoding : chunked', '0\r\n\r\n')],
  ['blank before a name', post(' Content-Length: 3', 'abc')],
  ['folded line', post('X: a\r\n b')],
  ['folded line with a tab', post('X: a\r\n\tb')],
  ['folded coding', post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')],
  ['line without a colon', post('nonsense')],
  ['empty name', post(': value')],
  ['name with a blank', post('X Y: 1')],
  ['name with a slash', post('X/Y: 1')],
  ['name with a parenthesis', post('X(Y): 1')],
  ['name with a control', post('X\x01: 1')],
  ['name with a high byte', post('X\xe9: 1')],
  ['NUL in a value', post('X: a\0b')],
  ['DEL in a value', post('X: a\x7fb')],
  ['escape in a value', post('X: \x1b[31m')],
  ['bare LF between headers', `POST /first HTTP/1.1\r\nHost: x\nX: 1\r\n\r\n`],
  ['bare LF at the end', `POST /first HTTP/1.1\r\nHost: x\n\r\n`],
  ['bare LF everywhere', 'POST /first HTTP/1.1\nHost: x\n\n'],
  ['bare CR in a value', post('X: a\rb')],
  ['bare CR before a line end', post('X: a\r')],
  ['no Host', 'GET /first HTTP/1.1\r\nX: 1\r\n\r\n'],
  ['two Hosts', 'GET /first HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ['two equal Hosts', 'GET /first HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n'],
  ['empty Host', 'GET /first HTTP/1.1\r\nHost:\r\n\r\n'],
  ['Host with a path', 'GET /first HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['Host with a user', 'GET /first HTTP/1.1\r\nHost: u@a\r\n\r\n'],
  ['Host with a list', 'GET /first HTTP/1.1\r\nHost: a b\r\n\r\n'],
  ['Host with a letter port', 'GET /first HTTP/1.1\r\nHost: a:b\r\n\r\n'],
  ['Host with half an address', 'GET /first HTTP/1.1\r\nHost: [::1\r\n\r\n'],
  ['two blanks after the method', line('GET  /first HTTP/1.1')],
  ['two blanks before the version', line('GET /first  HTTP/1.1')],
  ['tab instead of a blank', line('GET\t/first HTTP/1.1')],
  ['blank at the end of the line', line('GET /first HTTP/1.1 ')],
  ['blank before the method', line(' GET /first HTTP/1.1')],
  ['no version', line('GET /first')],
  ['HTTP/0.9', line('GET /first HTTP/0.9')],
  ['HTTP/1.2', line('GET /first HTTP/1.2')],
  ['HTTP/2.0', line('GET /first HTTP/2.0')],
  ['http in small letters', line('GET /first http/1.1')],
  ['version with a blank', line('GET /first HTTP/ 1.1')],
  ['version with two digits', line('GET /first HTTP/1.10')],
  ['another protocol', line('GET /first ICY/1.1')],
  ['preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['method with a parenthesis', line('GE(T /first HTTP/1.1')],
  ['method with a control', line('GE\x01T /first HTTP/1.1')],
  ['method without an end', line(`${'A'.repeat(40)} /first HTTP/1.1`)],
  ['absolute form of another scheme', line('GET ftp://a/first HTTP/1.1')],
  ['absolute form without a host', line('GET http:///first HTTP/1.1')],
  ['absolute form with a user', line('GET http://a@b/first HTTP/1.1')],
  ['authority form', line('CONNECT a:80 HTTP/1.1')],
  ['asterisk form', line('OPTIONS * HTTP/1.1')],
  ['path without a slash', line('GET first HTTP/1.1')],
  ['empty path', line('GET  HTTP/1.1')],
  ['fragment', line('GET /first#a HTTP/1.1')],
  ['raw byte in the path', line('GET /f\xfcrst HTTP/1.1')],
  ['blank in the path', line('GET /fir st HTTP/1.1')],
  ['NUL in the path', line('GET /fir\0st HTTP/1.1')],
  ['DEL in the path', line('GET /fir\x7fst HTTP/1.1')],
  ['path of 20 kB', line(`GET /${LONG} HTTP/1.1`)],
  ['path of 9 kB', line(`GET /${'a'.repeat(9000)} HTTP/1.1`)],
  ['head of 20 kB in one read', post(`X: ${LONG}`)],
  ['101 headers', post(MANY)],
  ['two empty lines before the request', `\r\n\r\n${line('GET /first HTTP/1.1')}`],
  ['unknown expectation', post('Expect: 200-ok\r\nContent-Length: 3', 'abc')],
  ['chunk without a size', chunked('\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with a sign', chunked('+3\r\nabc\r\n0\r\n\r\n')],
  ['negative chunk size', chunked('-3\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with a blank before', chunked(' 3\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with a letter', chunked('3g\r\nabc\r\n0\r\n\r\n')],
  ['chunk size that overflows', chunked('10000000000000003\r\nabc\r\n0\r\n\r\n')],
  ['chunk size of 14 digits', chunked('00000000000003\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with a bare LF', chunked('3\nabc\r\n0\r\n\r\n')],
  ['chunk data with a bare LF', chunked('3\r\nabc\n0\r\n\r\n')],
  ['chunk data longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')],
  ['chunk data shorter than its size', chunked('4\r\nabc\r\n0\r\n\r\n')],
  ['last chunk with a bare LF', chunked('0\n\r\n')],
  ['chunk extension with a control', chunked('3;a=\x01\r\nabc\r\n0\r\n\r\n')],
  ['chunk extension without an end', chunked(`3;${LONG}\r\nabc\r\n0\r\n\r\n`)],
  ['Content-Length in the trailer', chunked('0\r\nContent-Length: 3\r\n\r\n')],
  ['Transfer-Encoding in the trailer', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')],
  ['Host in the trailer', chunked('0\r\nHost: y\r\n\r\n')],
  ['Authorization in the trailer', chunked('0\r\nAuthorization: x\r\n\r\n')],
  ['Connection in the trailer', chunked('0\r\nConnection: close\r\n\r\n')],
  ['Content-Encoding in the trailer', chunked('0\r\nContent-Encoding: gzip\r\n\r\n')],
  ['trailer of 20 kB', chunked(`0\r\nX: ${LONG}\r\n\r\n`)],
  ['trailer of many lines', chunked(`0\r\n${'X: 1\r\n'.repeat(5000)}\r\n`)],
  ['trailer with NUL', chunked('0\r\nX: \0\r\n\r\n')],
  ['chunk extension of 300 bytes', chunked(`3;a=${'b'.repeat(300)}\r\nabc\r\n0\r\n\r\n`)],
  ['chunk extension with an open quote', chunked('3;a="b\r\nabc\r\n0\r\n\r\n')],
  ['chunk extension with a bare CR', chunked('3;a=b\rc\r\nabc\r\n0\r\n\r\n')],
  ['chunk size with a blank behind', chunked('3 \r\nabc\r\n0\r\n\r\n')],
  ['chunk size in other digits', chunked('\xb3\r\nabc\r\n0\r\n\r\n')],
  ['CONNECT of a path', line('CONNECT /first HTTP/1.1')],
  [
    'handshake of a WebSocket',
    'GET /first HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  ],
  ['trailer without a colon', chunked('0\r\nnonsense\r\n\r\n')],
  ['trailer with a bare LF', chunked('0\r\nX: 1\n\r\n')],
  ['folded trailer', chunked('0\r\nX: 1\r\n 2\r\n\r\n')],
];

test('there are at least 110 cases', () => expect(MALFORMED.length).toBeGreaterThanOrEqual(110));

test.each(MALFORMED)(
  '%s is refused, and the rest of the connection is not read',
  async (_, request) => {
    const { socket, seen } = ours();
    socket.push(Buffer.from(request + CANARY, 'latin1'));
    await settled();
    expect(seen).toEqual([]);
    expect(socket.written).toMatch(/^HTTP\/1\.1 (?:400|408|414|417|431|501|505) /);
    expect(socket.written).toContain('connection: close');
    expect(socket.written.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(socket.writableEnded).toBe(true);
    socket.destroy();
  },
);
