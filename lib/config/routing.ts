import { z } from 'zod';

/** Constants of the algorithms; runtime/core gives the reason for each value. */
export const routingSchema = z.strictObject({
  connectMs: z
    .int()
    .min(10)
    .max(60_000)
    .default(500)
    .describe('Time to connect to a replica; then the next one is tried.'),
  idleMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(4000)
    .describe('Idle connections to a model server are closed; shorter than its own keep-alive.'),
  maxIdleConnections: z
    .int()
    .min(1)
    .max(10_000)
    .default(64)
    .describe('Idle connections that are kept to one replica.'),
  decaySeconds: z
    .number()
    .min(0.1)
    .max(600)
    .default(10)
    .describe('Decay of the latency average of a replica.'),
  rampSeconds: z
    .number()
    .min(0)
    .max(600)
    .default(30)
    .describe('A new or returning replica gets its full part after this time.'),
  rampFromPercent: z
    .number()
    .min(1)
    .max(100)
    .default(10)
    .describe('Share of its part that a new or returning replica begins with.'),
  consecutiveFailures: z
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe('Failures in a row that eject a replica.'),
  ejectionSeconds: z
    .number()
    .min(0.1)
    .max(600)
    .default(1)
    .describe('Length of the first ejection; each further one is twice as long.'),
  maxEjectionSeconds: z.number().min(0.1).max(3600).default(60).describe('Longest ejection.'),
  maxUnreachableSeconds: z
    .number()
    .min(0.1)
    .max(3600)
    .default(5)
    .describe('Longest ejection of a replica that refuses connections: a restart is short.'),
  ejectionJitterPercent: z
    .number()
    .min(0)
    .max(100)
    .default(25)
    .describe('Random part of an ejection, so that not all routers probe the replica at once.'),
  ejectionMemorySeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('After this time without an ejection the next one counts as the first.'),
  comparisonSeconds: z
    .int()
    .min(1)
    .max(600)
    .default(10)
    .describe('The time over which the failures of a replica are compared with its siblings’.'),
  excusedLagMs: z
    .number()
    .min(1)
    .max(60_000)
    .default(100)
    .describe(
      'When the event loop of the router stood still for longer, timeouts blame no replica.',
    ),
  maxEjectedPercent: z
    .number()
    .min(0)
    .max(100)
    .default(50)
    .describe('Largest share of the reachable replicas that may be ejected; never the last one.'),
  panicPercent: z
    .number()
    .min(0)
    .max(100)
    .default(50)
    .describe('Panic threshold: with a smaller share of healthy replicas all are used.'),
  retryPercent: z
    .number()
    .min(0)
    .max(100)
    .default(20)
    .describe('Retry budget: retries per requests of the last retryWindowSeconds.'),
  freeRetriesPerSecond: z
    .number()
    .min(0)
    .max(10_000)
    .default(10)
    .describe('Retries beside the budget, for models with few requests.'),
  retryWindowSeconds: z
    .int()
    .min(1)
    .max(600)
    .default(10)
    .describe('Time that the retry budget looks back on.'),
  minRetryDelayMs: z
    .int()
    .min(0)
    .max(10_000)
    .default(25)
    .describe('Shortest pause before a retry.'),
  maxRetryDelayMs: z
    .int()
    .min(0)
    .max(10_000)
    .default(250)
    .describe('Longest pause before a retry.'),
  retryAvoidMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(1000)
    .describe('Time that a retry waits for a replica other than the one that failed.'),
  priorityAgeMs: z
    .int()
    .min(1)
    .max(600_000)
    .default(1000)
    .describe('Waiting time that counts as much as one priority.'),
  oldestEvery: z
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe(
      'One slot in this many goes to the request that waits longest, whatever its priority.',
    ),
  priorityPercent: z
    .number()
    .min(0)
    .max(25)
    .default(12.5)
    .describe('Share of a full queue that is reserved for each of the four priorities.'),
  coldQueueDepth: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(1000)
    .describe('Requests that wait while no replica is up, where the model names no depth.'),
});
