import { sizeText } from './disk';

/** Interval of progress lines. Milliseconds. */
const EVERY_MS = 10_000;

export interface ProgressOptions {
  readonly log: (line: string) => void;
  readonly now?: (() => number) | undefined;
}

/** Counts bytes and reports every ten seconds: `m.onnx: 1.2 GiB of 14.0 GiB (9 %), 118.0 MiB/s`. */
export function progressLines(
  path: string,
  from: number,
  total: number | undefined,
  { log, now = () => performance.now() }: ProgressOptions,
): (bytes: number) => void {
  let done = from;
  let [saidAt, saidBytes] = [now(), from];
  return (bytes) => {
    done += bytes;
    const passed = now() - saidAt;
    if (passed < EVERY_MS) return;
    const speed = sizeText(Math.round(((done - saidBytes) * 1000) / passed));
    const part = total === undefined ? '' : ` of ${sizeText(total)}`;
    const percent = total === undefined ? '' : ` (${Math.floor((done * 100) / total)} %)`;
    log(`${path}: ${sizeText(done)}${part}${percent}, ${speed}/s`);
    [saidAt, saidBytes] = [now(), done];
  };
}
