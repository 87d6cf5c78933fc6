import type { Server } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** Time to accept the connections that wait in the kernel's backlog; milliseconds. */
const BACKLOG_MS = 50;
/** A turn of the event loop accepts one connection (libuv 1.45 and later); the kernel keeps so many. */
const MAX_TURNS = 511;

/** Resolves when all that has connected by now is accepted, however long the loop stood still. */
export async function waitUntilAccepted(server: Server, limitMs: number): Promise<void> {
  let accepted = 0;
  const count = (): void => void (accepted += 1);
  server.on('connection', count);
  await sleep(Math.min(BACKLOG_MS, limitMs));
  let before = -1;
  for (let turns = 0; accepted !== before && turns < MAX_TURNS; turns += 1) {
    before = accepted;
    await nextTurn();
  }
  server.off('connection', count);
}
