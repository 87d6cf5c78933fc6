import { z } from 'zod';
import { HEALTHS, historySchema, STATUSES, whySchema } from './schemas';

const time = z.iso.datetime();
const count = z.int().min(0);
const services = z.enum(['healthy', 'degraded', 'unhealthy']);
const uptime = z.number().min(0).describe('Seconds.');

export const healthSchema = z
  .strictObject({ status: services, version: z.string(), uptime, timestamp: time })
  .meta({ id: 'Health' });

export const liveSchema = z
  .strictObject({ status: z.literal('alive'), timestamp: time })
  .meta({ id: 'Liveness' });

const check = z.strictObject({ status: z.enum(['pass', 'fail']), message: z.string() });

export const readySchema = z
  .strictObject({
    status: z.enum(['ready', 'not_ready']),
    checks: z.strictObject({ cluster: check, accepting: check }),
  })
  .meta({ id: 'Readiness' });

export const startupSchema = z
  .strictObject({ status: z.enum(['started', 'starting', 'failed']) })
  .meta({ id: 'Startup' });

const replica = z.strictObject({
  id: z.string(),
  address: z.string(),
  version: z.string(),
  phase: z.enum(['starting', 'ready', 'terminating', 'failed']),
  restarts: count,
  since: time,
  in_flight: count,
  ejected_until: time.nullable(),
  why: whySchema.optional(),
});

const percentile = z.number().min(0).nullable();

const arm = z.strictObject({
  name: z.string(),
  version: z.string(),
  health: z.enum(HEALTHS),
  desired: count,
  ready: count,
  in_flight: count,
  queue_depth: count,
  capacity: count,
  requests: count.describe('In the last minute.'),
  error_rate: z.number().min(0).max(1).nullable().describe('null: too few requests to tell.'),
  latency_ms: z.strictObject({ p50: percentile, p95: percentile, p99: percentile }),
  last_request_at: time.nullable(),
  last_failure: z.strictObject({ at: time, message: z.string() }).nullable(),
  replicas: z.array(replica),
});

export const detailedSchema = z
  .strictObject({
    status: services,
    version: z.string(),
    uptime,
    timestamp: time,
    ready: z.boolean(),
    watches: z.array(
      z.strictObject({
        name: z.string(),
        phase: z.enum(['empty', 'listing', 'synced', 'stale']),
        age_seconds: z.number().min(0).nullable(),
      }),
    ),
    routers: z.strictObject({
      self: z.string(),
      leader: z.string().nullable().describe('Promotes, finishes removals, puts to sleep.'),
      ready: count.describe('Routers that share the replicas, this one included.'),
      peers: z
        .array(
          z.strictObject({
            id: z.string(),
            ready: z.boolean(),
            age_seconds: z
              .number()
              .min(0)
              .nullable()
              .describe('Seconds since its last report; null: it has not reported yet.'),
          }),
        )
        .nullable()
        .describe('null: the other routers are not known yet.'),
    }),
    models: z.array(
      z.strictObject({
        model_id: z.string(),
        version: z.string(),
        status: z.enum(STATUSES),
        serving: z.boolean(),
        why: whySchema.nullable(),
        history: historySchema,
        arms: z.array(arm),
      }),
    ),
    broken_files: z
      .array(
        z.strictObject({
          file: z.string(),
          message: z.string(),
          model_id: z
            .string()
            .nullable()
            .describe('Serves its last good definition; null: the file never held a model.'),
        }),
      )
      .describe(
        'Files whose newest version has faults: definitions of the models folder, and auth.keys_file.',
      ),
    audit: z
      .strictObject({
        failing: z
          .strictObject({ since: time, message: z.string() })
          .nullable()
          .describe('Why no line can be written.'),
        refuses_changes: z.boolean(),
        waiting_lines: count.describe('In memory, to be written.'),
        dropped_lines: count.describe('Since the start.'),
        chain: z
          .strictObject({ lines: count, mac: z.string() })
          .nullable()
          .describe('Number and MAC of the last line; null: no chain.'),
      })
      .nullable()
      .describe('null: nothing is recorded.'),
    queue_depth: count,
    in_flight: count,
    ejected: z.array(
      z.strictObject({
        model_id: z.string(),
        arm: z.string(),
        replica: z.string(),
        address: z.string(),
        until: time,
      }),
    ),
    event_loop_lag_ms: z.number().min(0).nullable(),
    memory: z.strictObject({
      rss_bytes: count,
      heap_used_bytes: count,
      heap_total_bytes: count,
      external_bytes: count,
    }),
  })
  .meta({ id: 'DetailedHealth' });
