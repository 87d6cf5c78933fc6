#!/usr/bin/env node
import { processIo } from './io';
import { runCommand } from './program';

/** Exit codes of a shell for a process that a signal ended. */
const EXIT_OF = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first process of a container has no default action for signals: without handlers a command
 * such as `fetch` would run on until SIGKILL.
 */
function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(EXIT_OF[signal]);
    });
  }
}

if (process.pid === 1) endOnSignals();

void runCommand(process.argv.slice(2), processIo()).then((code) => {
  process.exitCode = code;
});
