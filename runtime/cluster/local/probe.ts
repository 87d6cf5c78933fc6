import { request } from 'node:http';
import { connect } from 'node:net';
import type { Check } from '../../../lib/spec';

/** Undefined: well. Else what was wrong, for people. */
export type ProbeResult = string | undefined;

/** Kubernetes' default for an HTTP probe is 1 s; a loaded laptop gets more. */
const TIMEOUT_MS = 3000;

function probeHttp(host: string, port: number, path: string): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const sent = request({ host, port, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      const well = statusCode >= 200 && statusCode < 400;
      resolve(well ? undefined : `GET ${path} answered ${statusCode}`);
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    sent.on('error', (error) => resolve(`GET ${path}: ${error.message}`));
    sent.end();
  });
}

function probeTcp(host: string, port: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    const end = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end(undefined));
    socket.on('timeout', () => end(`no connection in ${TIMEOUT_MS} ms`));
    socket.on('error', (error) => end(error.message));
  });
}

/**
 * Asks a server once, as the kubelet would; `{m}` in the path is the model's id. Never rejects: what
 * cannot even be asked is what is wrong.
 */
export async function probe(
  host: string,
  port: number,
  check: Check,
  model: string,
): Promise<ProbeResult> {
  try {
    if ('tcp' in check) return await probeTcp(host, port);
    const path = check.http.replace('{m}', encodeURIComponent(model));
    return await probeHttp(host, port, path);
  } catch (error) {
    return `it cannot be asked: ${(error as Error).message}`;
  }
}
