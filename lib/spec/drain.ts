/**
 * Until every router has seen that a pod is going and sends nothing new: watches, with room to
 * spare. Seconds.
 */
export const PRE_STOP_SECONDS = 15;
/** For the process to end after its last request. Seconds. */
export const EXIT_SECONDS = 5;
