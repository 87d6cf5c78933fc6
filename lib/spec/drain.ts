/**
 * Seconds until every router has seen that a pod terminates and sends it no new requests: the delay
 * of watches, with reserve.
 */
export const PRE_STOP_SECONDS = 15;
/** Seconds for a process to exit after its last request. */
export const EXIT_SECONDS = 5;
