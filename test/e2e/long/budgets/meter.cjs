// Runs inside of the service, whose main thread it measures. What counts is the processor time of the
// event loop between two rounds of it: on a machine that does other things, too, time on the wall is theirs.
const { openSync, readFileSync, readSync, writeFileSync } = require('node:fs');

const stat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
const buffer = Buffer.alloc(64);
const KIB_OF_MIB = 1024;

/** Milliseconds that this thread has run. */
function ranMs() {
  const bytes = readSync(stat, buffer, 0, buffer.length, 0);
  return Number(buffer.latin1Slice(0, bytes).split(' ')[0]) / 1e6;
}

let last = ranMs();
let stepMs = 0;
setInterval(() => {
  const now = ranMs();
  stepMs = Math.max(stepMs, now - last);
  last = now;
}, 1).unref();

process.on('SIGUSR2', () => {
  const [, peakKib] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
  const seen = { stepMs, peakMib: Number(peakKib) / KIB_OF_MIB, at: Date.now() };
  writeFileSync('meter.json', JSON.stringify(seen));
  stepMs = 0;
});
