import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isInstalled, lineOf, listening, pinned, ROUTER_CORE } from './process';

// What stands beside the router, each as its documentation says for this job: kept connections on
// both sides, one worker, no access log, large bodies passed on as they come.

export interface Opened {
  readonly pid: number;
  readonly port: number;
}

/** Undefined: it is not installed here. */
export type Opener = (backend: number, work: string) => Promise<Opened | undefined>;

async function open(command: readonly string[], port: number, env = {}): Promise<Opened> {
  const child = pinned(ROUTER_CORE, command, { env });
  await listening(port);
  return { pid: child.pid ?? 0, port };
}

export const nginx: Opener = async (backend, work) => {
  if (!isInstalled('nginx')) return undefined;
  const port = 18_480;
  const file = join(work, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; worker_processes 1; master_process off; pid ${work}/nginx.pid; error_log /dev/null;
events { worker_connections 2048; }
http { access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path ${work}/p1; proxy_temp_path ${work}/p2; fastcgi_temp_path ${work}/p3; uwsgi_temp_path ${work}/p4; scgi_temp_path ${work}/p5;
  upstream b { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_request_buffering off; proxy_buffers 16 64k; proxy_max_temp_file_size 0; } } }`,
  );
  return open(['nginx', '-c', file], port);
};

export const haproxy: Opener = async (backend, work) => {
  if (!isInstalled('haproxy')) return undefined;
  const port = 18_481;
  const file = join(work, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2048
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s 127.0.0.1:${backend}
`,
  );
  return open(['haproxy', '-db', '-q', '-f', file], port);
};

const at = (port: number): object => ({
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
});

const typed = (type: string, rest: object = {}): object => ({
  typed_config: { '@type': `type.googleapis.com/envoy.extensions.filters.${type}`, ...rest },
});

function envoyConfig(backend: number, port: number): object {
  const routes = [{ match: { prefix: '/' }, route: { cluster: 'b' } }];
  const manager = typed('network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'bench',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [{ name: 'envoy.filters.http.router', ...typed('http.router.v3.Router') }],
  });
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', ...manager }];
  const endpoints = [{ lb_endpoints: [{ endpoint: at(backend) }] }];
  const assignment = { cluster_name: 'b', endpoints };
  return {
    static_resources: {
      listeners: [{ ...at(port), filter_chains: [{ filters }] }],
      clusters: [{ name: 'b', type: 'STATIC', load_assignment: assignment }],
    },
  };
}

export const envoy: Opener = async (backend, work) => {
  if (!isInstalled('envoy', '--version')) return undefined;
  const port = 18_482;
  const file = join(work, 'envoy.json');
  writeFileSync(file, JSON.stringify(envoyConfig(backend, port)));
  return open(
    ['envoy', '-c', file, '--concurrency', '1', '-l', 'off', '--disable-hot-restart'],
    port,
  );
};

/** A package that stands in the folder BENCH_MODULES, or in this project. */
function packaged(name: string): string | undefined {
  const folder = process.env['BENCH_MODULES'] || process.cwd();
  const from = createRequire(join(folder, 'package.json'));
  try {
    return from.resolve(name);
  } catch {
    return undefined;
  }
}

export const httpProxy3: Opener = async (backend, work) => {
  const [express, proxy] = ['express', 'http-proxy-3'].map(packaged);
  if (express === undefined || proxy === undefined) return undefined;
  const port = 18_483;
  const file = join(work, 'express.cjs');
  writeFileSync(
    file,
    `const { Agent } = require('node:http');
const app = require(${JSON.stringify(express)})();
const { createProxyServer } = require(${JSON.stringify(proxy)});
const proxy = createProxyServer({ target: 'http://127.0.0.1:${backend}', agent: new Agent({ keepAlive: true }) });
app.use((request, response) => proxy.web(request, response));
app.listen(${port}, '127.0.0.1');`,
  );
  return open([process.execPath, file], port, { NODE_ENV: 'production' });
};

export const portkey: Opener = async () => {
  const folder = process.env['BENCH_MODULES'] || process.cwd();
  const script = join(folder, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js');
  if (!existsSync(script)) return undefined;
  const port = 18_484;
  return open([process.execPath, script, '--headless', `--port=${port}`], port, {
    NODE_ENV: 'production',
  });
};

/** What of the router is on. */
export interface RouterOptions {
  readonly bin: string;
  readonly models: readonly string[];
  readonly key?: string | undefined;
  /** A candidate with half of the callers. */
  readonly split?: boolean;
  /** A line for every request. */
  readonly audit?: boolean;
  /** Each with its MAC. */
  readonly chain?: boolean;
  /** Requests may be traced. */
  readonly traces?: boolean;
}

/** What the image says of memory holds here, too. */
export function memoryOfImage(): NodeJS.ProcessEnv {
  const dockerfile = readFileSync(join(__dirname, '..', '..', 'Dockerfile'), 'utf8');
  const found = dockerfile.matchAll(/^ +((?:NODE_OPTIONS|MALLOC_\w+))=(\S+)/gm);
  return Object.fromEntries([...found].map(([, name, value]) => [name, value]));
}

/** Spans are dropped there: what a collector costs is not part of a request. */
const NO_COLLECTOR = 'http://127.0.0.1:9';

function auditOf(folder: string, chain: boolean): object {
  const file = join(folder, 'audit.log');
  const key = join(folder, 'chain.key');
  if (chain) writeFileSync(key, '0123456789abcdef');
  return { file, inference: true, ...(chain && { chain_key_file: key }) };
}

export async function router(
  { bin, models, key, split = false, audit = false, chain = false, traces }: RouterOptions,
  backend: number,
  folder: string,
): Promise<Opened> {
  mkdirSync(join(folder, 'models'), { recursive: true });
  for (const id of models) {
    const model = {
      id,
      version: '1',
      framework: 'tensorrt',
      source: `s3://bench/${id}`,
      inference: { maxConcurrency: 256 },
      ...(split && { candidates: [{ name: 'next', version: '2', traffic: 50 }] }),
    };
    writeFileSync(join(folder, 'models', `${id}.json`), JSON.stringify(model));
  }
  const digest = key && createHash('sha256').update(key).digest('hex');
  const replicas = [`127.0.0.1:${backend}`];
  const place = { stable: replicas, ...(split && { next: replicas }) };
  const config = {
    server: { port: 0, accept_seconds: 0 },
    local: { endpoints: Object.fromEntries(models.map((id) => [id, place])) },
    auth: digest
      ? { mode: 'api_key', keys: [{ name: 'bench', sha256: digest, scopes: ['admin'] }] }
      : { mode: 'none' },
    ...(audit && { audit: auditOf(folder, chain) }),
    ...(traces === true && { traces: { endpoint: NO_COLLECTOR } }),
    logging: { level: 'error' },
  };
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config));
  const command = [process.execPath, bin, 'serve', '--config', 'config.yaml', '--output', 'json'];
  const child = pinned(ROUTER_CORE, command, { cwd: folder, env: memoryOfImage() });
  const url = await lineOf(child, /"url":"([^"]+)"/);
  return { pid: child.pid ?? 0, port: Number(new URL(url).port) };
}
