import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Size } from './bodies';
import { answered, answeredByChat, metadata, modelOf, SIZES } from './bodies';
import { isInstalled, lineOf, listening, OTHER_CORE, pinned } from './process';

// A model server that costs next to nothing: nginx with fixed answers, or plain sockets without it.

const PORT = 18_470;

function nginxConf(work: string): string {
  for (const size of SIZES) {
    const folder = join(work, 'v2', 'models', modelOf(size));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'infer'), answered(size));
    writeFileSync(join(folder, 'about'), metadata(size));
    mkdirSync(join(folder, 'chat'));
    writeFileSync(join(folder, 'chat', 'completions'), answeredByChat(size));
  }
  const about = SIZES.map(
    (size) =>
      `location = /v2/models/${modelOf(size)} { try_files /v2/models/${modelOf(size)}/about =404; }`,
  ).join('\n');
  // nginx does not answer a POST with a file, but with the page of that error.
  return `daemon off; worker_processes 1; master_process off; pid ${work}/backend.pid; error_log /dev/null;
events { worker_connections 2048; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 75s; default_type application/json;
  client_max_body_size 0; client_body_buffer_size 2m; open_file_cache max=100;
  tcp_nodelay on; sendfile on;
  client_body_temp_path ${work}/b1; proxy_temp_path ${work}/b2; fastcgi_temp_path ${work}/b3; uwsgi_temp_path ${work}/b4; scgi_temp_path ${work}/b5;
  server { listen 127.0.0.1:${PORT}; root ${work}; error_page 405 =200 $uri;
  location ~ /ready$ { return 200 '{"ready":true}'; }
  ${about} } }`;
}

async function openNginx(work: string): Promise<number> {
  const file = join(work, 'backend.conf');
  writeFileSync(file, nginxConf(work));
  pinned(OTHER_CORE, ['nginx', '-c', file]);
  await listening(PORT);
  return PORT;
}

/**
 * nginx answers before it has read a large body, and some proxies take that for a fault.
 * @returns its port
 */
export async function openBackend(work: string, large: boolean): Promise<number> {
  if (!large && isInstalled('nginx')) return openNginx(work);
  const child = pinned(OTHER_CORE, [process.execPath, '--import', 'tsx', __filename, 'serve']);
  return Number(await lineOf(child, /"port":(\d+)/));
}

const HEAD_END = '\r\n\r\n';

function textFor(head: string): string {
  const [, method = '', model = ''] = /^(\w+) \/v2\/models\/([^/ ]+)/.exec(head) ?? [];
  const size = Number(model.slice('echo-'.length)) as Size;
  const path = head.split(' ', 2)[1] ?? '';
  const body = path.endsWith('/ready')
    ? '{}'
    : path.endsWith('/chat/completions')
      ? answeredByChat(size)
      : method === 'GET'
        ? metadata(size)
        : answered(size);
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function serve(): void {
  const answers = new Map<string, string>();
  const server = createServer({ noDelay: true }, (socket) => {
    let left = 0;
    let head = '';
    let answer = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      if (left > 0) left -= bytes.length;
      else {
        head += bytes.toString('latin1');
        const end = head.indexOf(HEAD_END);
        if (end < 0) return;
        const length = Number(/\r\ncontent-length: (\d+)/i.exec(head.slice(0, end))?.[1] ?? 0);
        left = length - (head.length - end - HEAD_END.length);
        const line = head.slice(0, head.indexOf('\r'));
        answer = answers.get(line) ?? textFor(head);
        answers.set(line, answer);
        head = '';
      }
      if (left <= 0) socket.write(answer, 'latin1');
      left = Math.max(0, left);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : undefined }));
  });
}

if (process.argv[2] === 'serve') serve();
