import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OTHER_CORE } from './process';

// Who asks: wrk in a closed loop, for what a request costs; our own in an open loop, for what it
// waits.

export interface Asking {
  readonly port: number;
  readonly path: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Measured {
  /** Answered well. */
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

function script({ path, body, headers }: Asking, work: string): string {
  const file = join(work, 'wrk.lua');
  const lines = Object.entries(headers).map(
    ([name, value]) => `wrk.headers["${name}"] = "${value}"`,
  );
  const text = ['wrk.method = "POST"', `wrk.path = "${path}"`, ...lines, `wrk.body = [[${body}]]`];
  writeFileSync(
    file,
    `${text.join('\n')}
done = function(summary, latency)
  local e = summary.errors
  local bad = e.status + e.connect + e.read + e.write + e.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, bad, latency:percentile(50), latency:percentile(99)))
end
`,
  );
  return file;
}

export async function closedLoop(
  asking: Asking,
  connections: number,
  seconds: number,
  work: string,
): Promise<Measured> {
  const url = `http://127.0.0.1:${asking.port}${asking.path}`;
  const command = ['-c', String(OTHER_CORE), 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`];
  const child = spawn('taskset', [...command, '-s', script(asking, work), url]);
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  await once(child, 'close');
  const found = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(said);
  if (found === null) throw new Error(`wrk did not measure:\n${said}`);
  const [requests = 0, micros = 0, bad = 0, p50 = 0, p99 = 0] = found.slice(1).map(Number);
  return {
    requests: requests - bad,
    failures: bad,
    seconds: micros / 1e6,
    p50: p50 / 1000,
    p99: p99 / 1000,
  };
}
