import { execFile } from 'node:child_process';

/** Answers of `get -o json` of a whole namespace are large. */
const MAX_ANSWER = 64 * 1024 * 1024;

/** Without blocking: load that runs meanwhile keeps its pace. */
export function kubectl(args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('kubectl', args, { maxBuffer: MAX_ANSWER }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`kubectl ${args.join(' ')}: ${stderr || error.message}`));
    });
    child.stdin?.end(input);
  });
}

/** Objects as `kubectl apply` wants them on its input. */
export function listOf(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

/** As a pipeline applies manifests. */
export function apply(items: readonly object[], ...more: readonly string[]): Promise<string> {
  return kubectl(['apply', '--server-side', ...more, '-f', '-'], listOf(items));
}
