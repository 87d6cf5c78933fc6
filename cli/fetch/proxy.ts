import { request } from 'node:http';
import type { AgentOptions } from 'node:https';
import { Agent } from 'node:https';
import type { Socket } from 'node:net';
import { BlockList, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { SourceError } from './entry';
import { entryOf } from '../../lib/spec/entry';

// Proxies from the environment, in the form that other tools use.

const DEFAULT_PORT: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

const bare = (host: string): string => host.replace(/^\[|\]$/g, '');

function inBlock(host: string, block: string): boolean {
  const [net = '', length] = block.split('/');
  if (isIP(host) === 0 || isIP(host) !== isIP(net)) return false;
  const list = new BlockList();
  list.addSubnet(net, Number(length), isIP(net) === 6 ? 'ipv6' : 'ipv4');
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

/** `.example.org`, `example.org` and `*.example.org` all mean the host and those below it. */
function exempts(entry: string, { hostname, port, protocol }: URL): boolean {
  if (entry === '*') return true;
  const host = bare(hostname).toLowerCase();
  if (entry.includes('/')) return inBlock(host, entry);
  const [, name = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  if (wanted !== undefined && wanted !== (port || entryOf(DEFAULT_PORT, protocol))) return false;
  const suffix = name.replace(/^\*?\./, '');
  return host === suffix || host.endsWith(`.${suffix}`);
}

/** The proxy for a URL: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, in either case. */
export function proxyFor(target: URL, env: NodeJS.ProcessEnv): URL | undefined {
  const read = (name: string): string =>
    entryOf(env, name.toLowerCase()) || entryOf(env, name) || '';
  const given = read(target.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  const without = read('NO_PROXY').split(/[\s,]+/);
  if (given === '' || without.some((entry) => entry !== '' && exempts(entry, target))) {
    return undefined;
  }
  const proxy = new URL(/^[a-z]+:\/\//i.test(given) ? given : `http://${given}`);
  if (proxy.protocol === 'http:') return proxy;
  throw new SourceError(
    `the proxy ${proxy.protocol}//${proxy.host} must be http://; correct HTTPS_PROXY`,
  );
}

/** Headers for the proxy itself: its credentials. */
export function proxyHeaders({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '') return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

interface Target {
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
}

type Made = (error: Error | null, socket?: Duplex) => void;

/** Reaches https hosts through a tunnel (CONNECT, RFC 9110, 9.3.6). */
export class TunnelAgent extends Agent {
  constructor(
    private readonly proxy: URL,
    private readonly tls: AgentOptions,
  ) {
    super({ ...tls, keepAlive: true });
  }

  override createConnection(options: Target, made: Made): undefined {
    const { host = '', port = 443 } = options;
    const path = `${host.includes(':') ? `[${bare(host)}]` : host}:${port}`;
    const { hostname, port: proxyPort } = this.proxy;
    const headers = { host: path, ...proxyHeaders(this.proxy) };
    const place = { host: bare(hostname), port: proxyPort || '80', agent: false };
    const asked = request({ ...place, method: 'CONNECT', path, headers });
    asked.on('error', (error) => made(error));
    asked.on('connect', ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) {
        const name = bare(host);
        const servername = isIP(name) === 0 ? name : '';
        made(null, connect({ ...this.tls, socket, host: name, servername }));
      } else {
        socket.destroy();
        made(new Error(`the proxy ${this.proxy.host} answered ${statusCode} for ${path}`));
      }
    });
    asked.end();
  }
}
