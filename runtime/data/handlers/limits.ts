/** Limits of one request and its shadow copies; in bytes unless named otherwise. */
export interface DataPlaneLimits {
  /** Of a response that is buffered. */
  readonly answerBytes: number;
  /** Of an OpenAI call: its model, and so the model's own limit, is only known from the body. */
  readonly openaiBytes: number;
  /** A larger body that is relayed unchanged is streamed. */
  readonly streamBytes: number;
  /** Of a request or a response that is copied for a shadow. */
  readonly shadowBytes: number;
  /** Share of a shadow's capacity that copies may use; at least one request. */
  readonly shadowPart: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: DataPlaneLimits = {
  // Larger responses should use the passthrough paths, which stream.
  answerBytes: 64 * MIB,
  openaiBytes: 10 * MIB,
  // Smaller bodies are buffered, so that a replica does not wait for a slow caller.
  streamBytes: MIB,
  // Copying larger ones is not worth the memory.
  shadowBytes: MIB,
  shadowPart: 0.1,
};
