import { z } from 'zod';

/** The constants of the algorithms; runtime/core says why they are what they are. */
export const routingSchema = z.strictObject({
  connectMs: z
    .int()
    .min(10)
    .max(60_000)
    .default(500)
    .describe('To a model server; then the next one is tried.'),
  idleMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(4000)
    .describe('Idle connections to a model server are closed; shorter than its own keep-alive.'),
  maxIdleConnections: z.int().min(1).max(10_000).default(64).describe('To one replica.'),
  decaySeconds: z
    .number()
    .min(0.1)
    .max(600)
    .default(10)
    .describe('How fast good answers make a slow one forgotten.'),
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
    .describe('Of its part that a new or returning replica begins with.'),
  consecutiveFailures: z
    .int()
    .min(1)
    .max(1000)
    .default(5)
    .describe('So many in a row eject a replica.'),
  ejectionSeconds: z.number().min(0.1).max(600).default(1).describe('The first time; it doubles.'),
  maxEjectionSeconds: z.number().min(0.1).max(3600).default(60),
  maxUnreachableSeconds: z
    .number()
    .min(0.1)
    .max(3600)
    .default(5)
    .describe('The longest that one is left out which refuses connections: a restart is short.'),
  ejectionJitterPercent: z
    .number()
    .min(0)
    .max(100)
    .default(25)
    .describe('Longer or shorter at random, so that not all routers ask it at one moment.'),
  ejectionMemorySeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('After so long without an ejection the next one counts as the first.'),
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
    .describe('When our own event loop stood still longer, timeouts blame no replica.'),
  maxEjectedPercent: z
    .number()
    .min(0)
    .max(100)
    .default(50)
    .describe('Of the replicas that can be reached, at most so many are out; never the last.'),
  panicPercent: z
    .number()
    .min(0)
    .max(100)
    .default(50)
    .describe('With fewer healthy ones than that all are used: the rest would be overrun.'),
  retryPercent: z
    .number()
    .min(0)
    .max(100)
    .default(20)
    .describe('Second tries per requests of the last retryWindowSeconds, at most.'),
  freeRetriesPerSecond: z
    .number()
    .min(0)
    .max(10_000)
    .default(10)
    .describe('For models with few requests.'),
  retryWindowSeconds: z
    .int()
    .min(1)
    .max(600)
    .default(10)
    .describe('The time that the budget of retries looks back on.'),
  minRetryDelayMs: z.int().min(0).max(10_000).default(25),
  maxRetryDelayMs: z.int().min(0).max(10_000).default(250),
  retryAvoidMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(1000)
    .describe('So long a second try waits for another replica than the one that failed it.'),
  priorityAgeMs: z
    .int()
    .min(1)
    .max(600_000)
    .default(1000)
    .describe('Waiting so long counts as much as one priority.'),
  oldestEvery: z
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe('One slot of so many goes to whoever waits longest, whatever its priority.'),
  priorityPercent: z
    .number()
    .min(0)
    .max(25)
    .default(12.5)
    .describe('Of a full queue that each of the four priorities owns, whoever else comes.'),
  coldQueueDepth: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(1000)
    .describe('Requests that wait while no replica is up, where the model names no depth.'),
});
