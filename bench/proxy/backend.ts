import { createServer } from 'node:net';

// A model server that costs next to nothing: the same V2 answer to every request, on plain sockets.

const BODY = JSON.stringify({
  model_name: 'echo',
  model_version: '1',
  id: 'x'.repeat(150),
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 3], data: [0.1, 0.2, 0.7] }],
});
const ANSWER = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const HEAD_END = '\r\n\r\n';

const server = createServer({ noDelay: true }, (socket) => {
  let left = 0;
  let head = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    if (left > 0) left -= bytes.length;
    else {
      head += bytes.toString('latin1');
      const end = head.indexOf(HEAD_END);
      if (end < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head.slice(0, end))?.[1] ?? 0);
      left = length - (head.length - end - HEAD_END.length);
      head = '';
    }
    if (left <= 0) socket.write(ANSWER, 'latin1');
    left = Math.max(0, left);
  });
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : undefined }));
});
