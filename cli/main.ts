#!/usr/bin/env node
import { processIo } from './io';
import { runCommand } from './program';

/** What a shell says of a process that a signal ended, by the signal's number. */
const EXIT_OF = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The kernel gives the first process of a container no default action: a command that takes no
 * signals itself, as `fetch`, would run on until it is killed.
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
