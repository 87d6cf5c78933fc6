/** What one request may weigh, and what its copies may. Bytes unless said otherwise. */
export interface DataPlaneLimits {
  /** Of an answer that is read whole before it is passed on. */
  readonly answerBytes: number;
  /** Of an OpenAI call: the model, whose own limit would count, is named inside. */
  readonly openaiBytes: number;
  /** A larger body whose bytes pass untouched is passed on while it comes. */
  readonly streamBytes: number;
  /** Of a request or an answer that is copied for a shadow. */
  readonly shadowBytes: number;
  /** Of a shadow's capacity that copies may use; at least one request. */
  readonly shadowPart: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: DataPlaneLimits = {
  // Larger answers belong on the passthrough paths, which stream.
  answerBytes: 64 * MIB,
  openaiBytes: 10 * MIB,
  // Below it a body in memory costs less than a replica that waits for its caller.
  streamBytes: MIB,
  // The copy of a larger one would cost more than it tells.
  shadowBytes: MIB,
  shadowPart: 0.1,
};
