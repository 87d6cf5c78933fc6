import { request } from 'node:http';
import { connect } from 'node:net';
import type { Check } from '../../../lib/spec';

/** Why a probe failed. */
export interface ProbeFault {
  readonly message: string;
  /** HTTP status, if the server answered. */
  readonly status?: number;
  /** No connection could be made, so that requests would fail too. */
  readonly isUnreached?: boolean;
}

/** Undefined: healthy. */
export type ProbeResult = ProbeFault | undefined;

/** Kubernetes' default for an HTTP probe is 1 s; a loaded laptop gets more. */
const TIMEOUT_MS = 3000;

function probeHttp(host: string, port: number, path: string): Promise<ProbeResult> {
  return new Promise((resolve) => {
    let isUnreached = true;
    const sent = request({ host, port, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      const { statusCode: status = 0 } = response;
      const well = status >= 200 && status < 400;
      resolve(well ? undefined : { message: `GET ${path} answered ${status}`, status });
    });
    sent.on('socket', (socket) => socket.once('connect', () => (isUnreached = false)));
    sent.on('timeout', () => {
      const missing = isUnreached ? 'connection' : 'answer';
      sent.destroy(new Error(`no ${missing} in ${TIMEOUT_MS} ms`));
    });
    sent.on('error', ({ message }) => resolve({ message: `GET ${path}: ${message}`, isUnreached }));
    sent.end();
  });
}

function probeTcp(host: string, port: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    const end = (message?: string): void => {
      socket.destroy();
      resolve(message === undefined ? undefined : { message, isUnreached: true });
    };
    socket.on('connect', () => end());
    socket.on('timeout', () => end(`no connection in ${TIMEOUT_MS} ms`));
    socket.on('error', (error) => end(error.message));
  });
}

/**
 * Probes a server once, as the kubelet would; `{m}` in the path is the model's id. Never rejects: a
 * request that cannot be sent is a failed probe.
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
    return { message: `it cannot be probed: ${(error as Error).message}` };
  }
}
