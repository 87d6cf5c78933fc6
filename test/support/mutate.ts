// Requests as they should not be: right ones, spoiled by chance.

const CORPUS = [
  'GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n',
  'POST /b HTTP/1.1\r\nHost: x:80\r\nContent-Length: 5\r\n\r\nhello',
  'POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n',
  'POST /d HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc',
  'PUT /e HTTP/1.1\r\nhost: [::1]:8080\r\ncontent-length: 0\r\nConnection: close\r\n\r\n',
  'DELETE /f HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=b\r\n\r\n',
];
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '0',
  '1',
  'a',
  '\0',
  '\x0b',
  '\x7f',
  '\xff',
  '\r\n\r\n',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'chunked',
  'Host: y\r\n',
  '0\r\n\r\n',
  'Connection: close\r\n',
  'HTTP/1.0',
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'Expect: 100-continue\r\n',
];

/** Two requests of the corpus, spoiled in up to three places. */
export function mutated(random: () => number, corpus: readonly string[] = CORPUS): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let text = pick(corpus) + pick(corpus);
  for (let count = Math.floor(random() * 4); count > 0; count -= 1) {
    const at = Math.floor(random() * text.length);
    const cut = random() < 0.5 ? 0 : 1 + Math.floor(random() * 3);
    text = text.slice(0, at) + (random() < 0.7 ? pick(PIECES) : '') + text.slice(at + cut);
  }
  return text;
}
