import { z } from 'zod';
import { planSchema } from '../../lib/plan/schema';
import { FRAMEWORKS, idSchema, MODEL_TYPES, versionSchema } from '../../lib/spec';
import { modelJsonSchema } from '../../lib/spec/jsonschema';
import { shareSchema } from '../../lib/spec';
import { LOG_LEVELS } from './timed-level';

export const STATUSES = [
  'pending',
  'deploying',
  'running',
  'updating',
  'scaling',
  'failed',
  'terminating',
  'stopped',
] as const;

const time = z.iso.datetime().describe('RFC 3339, UTC.');
const count = z.int().min(0);
const revision = z.int().min(1).describe('Counts the definitions that were applied.');
const percent = z.number().min(0).max(100);

const DEFINITION = 'A model definition in wire form. TypeScript’s names are understood as well.';

/** The definition in wire form; `parseModel` checks it, this schema is for the document. */
export const definitionSchema = z.record(z.string(), z.unknown()).meta({
  id: 'ModelDefinition',
  description: DEFINITION,
  override: ({ jsonSchema }: { jsonSchema: object }) => {
    for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key);
    Object.assign(jsonSchema, modelJsonSchema()['then'], { description: DEFINITION });
  },
});

/** A part of a definition. */
const patchSchema = z.record(z.string(), z.unknown()).meta({
  id: 'ModelPatch',
  description: 'JSON merge patch (RFC 7386) on the stored definition: null removes a field.',
  example: { version: 'v3.0.2', docker_image: 'suoke/tcm-diagnosis:v3.0.2' },
});

export const deployBody = z
  .strictObject({ config: definitionSchema })
  .meta({ id: 'DeployRequest' });
export const updateBody = z.strictObject({ config: patchSchema }).meta({ id: 'UpdateRequest' });
export const scaleBody = z
  .strictObject({ replicas: z.int().min(0).max(1000).describe('0 stops the model.') })
  .meta({ id: 'ScaleRequest' });
export const rollbackBody = z
  .strictObject({ revision: revision.describe('One of GET …/versions.') })
  .meta({ id: 'RollbackRequest' });
const logLevel = z.enum(LOG_LEVELS);
export const logLevelBody = z
  .strictObject({
    level: logLevel.describe('Least severity that is logged.'),
    seconds: z
      .int()
      .min(1)
      .max(86_400)
      .optional()
      .describe(
        'Then the configured level is in force again. Absent: until a restart. Required for a level that logs less than the configured one.',
      ),
  })
  .meta({ id: 'LogLevelRequest' });
export const logLevelSchema = z
  .strictObject({
    level: logLevel,
    configured: logLevel,
    ends_at: z.iso.datetime().nullable().describe('null: not by itself.'),
  })
  .meta({ id: 'LogLevel' });
const candidate = z.string().min(1).max(63).describe('Name of the candidate.');
export const trafficBody = z
  .strictObject({
    candidate,
    percent: shareSchema.describe('Share of live traffic, in steps of 0.01.'),
  })
  .meta({ id: 'TrafficRequest' });
export const promoteBody = z
  .strictObject({ candidate: candidate.optional().describe('Needed when there are several.') })
  .meta({ id: 'PromoteRequest' });
export const abortBody = z.strictObject({}).meta({ id: 'AbortRequest' });

const flag = z.boolean().default(false);
export const listQuery = z.strictObject({
  status: z.enum(STATUSES).optional(),
  model_type: z.enum(MODEL_TYPES).optional(),
  framework: z.enum(FRAMEWORKS).optional(),
  limit: z.int().min(1).max(1000).default(50),
  offset: z.int().min(0).max(1_000_000).default(0),
});
const force = flag.describe('Take the model over from its other manager; needs the scope admin.');
export const deployQuery = z.strictObject({
  dry_run: flag.describe('Only render the Kubernetes objects; nothing is changed.'),
  force,
});
export const changeQuery = z.strictObject({ force });
export const removeQuery = z.strictObject({
  force: flag.describe('Do not wait for running requests.'),
});
export const explainQuery = z.strictObject({
  key: z.string().min(1).max(1024).describe('A caller’s cohort key, e.g. a user id.'),
});

const fault = z
  .strictObject({
    path: z.string().describe('Dotted path in the body, the definition or the query.'),
    message: z.string(),
    got: z.string().optional(),
    allowed: z.string().optional(),
  })
  .meta({ id: 'Fault' });

const plan = planSchema.meta({ id: 'Plan' });

export const errorSchema = z
  .strictObject({
    status: z.literal('error'),
    error: z.strictObject({
      code: z.string(),
      message: z.string(),
      details: z.array(z.union([fault, z.record(z.string(), z.unknown())])),
      plan: plan.optional().describe('Of READ_ONLY: what the refused change would mean.'),
    }),
    timestamp: time,
  })
  .meta({ id: 'Error' });

const warning = z
  .strictObject({
    rule: z.string(),
    path: z.string(),
    message: z.string(),
    fix: z.string(),
  })
  .meta({ id: 'Warning' });

const changed = {
  deployment_id: z.string().describe('<id>-<revision>'),
  model_id: idSchema,
  revision,
  message: z.string(),
  warnings: z.array(warning),
};
export const changedSchema = z.strictObject(changed).meta({ id: 'Changed' });

export const dryRunSchema = z
  .strictObject({
    model_id: idSchema,
    dry_run: z.literal(true),
    objects: z
      .array(z.record(z.string(), z.unknown()))
      .describe('The Kubernetes objects that would be applied.'),
    warnings: z.array(warning),
    plan: plan.describe('What the change means, compared with the running definitions.'),
  })
  .meta({ id: 'DryRun' });

export const scaledSchema = z
  .strictObject({ ...changed, current_replicas: count, target_replicas: count })
  .meta({ id: 'Scaled' });

export const removedSchema = z
  .strictObject({ model_id: idSchema, message: z.string() })
  .meta({ id: 'Removed' });

const replicas = z
  .strictObject({ desired: count, current: count, ready: count })
  .meta({ id: 'Replicas' });

const summary = {
  model_id: idSchema,
  name: z.string(),
  version: versionSchema,
  status: z.enum(STATUSES),
  replicas,
};

export const listSchema = z
  .strictObject({
    models: z.array(
      z
        .strictObject({
          ...summary,
          model_type: z.enum(MODEL_TYPES),
          framework: z.enum(FRAMEWORKS),
          revision,
          created_at: time,
          updated_at: time,
        })
        .meta({ id: 'ModelSummary' }),
    ),
    total: count.describe('Count without limit and offset.'),
    limit: count,
    offset: count,
  })
  .meta({ id: 'ModelList' });

export const whySchema = z
  .strictObject({
    cause: z.string().describe('Stable code for programs.'),
    message: z.string().describe('The cause, and how to correct it.'),
    object: z.string().optional(),
    since: time,
  })
  .meta({ id: 'Why' });

export const HEALTHS = ['healthy', 'degraded', 'unhealthy', 'starting', 'stopped'] as const;

const armSchema = z
  .strictObject({
    name: z.string(),
    version: versionSchema,
    role: z.enum(['stable', 'candidate', 'shadow', 'rollout']),
    traffic: percent.describe('Share of live traffic in force now.'),
    mirrored: percent.optional().describe('Shadows: share of live traffic copied to it.'),
    replicas,
    health: z.enum(HEALTHS),
    why: whySchema.optional(),
  })
  .meta({ id: 'ArmStatus' });

export const historySchema = z
  .array(
    z.strictObject({
      at: time,
      arm: z.string().nullable().describe('null: the status of the model.'),
      from: z.string(),
      to: z.string(),
      why: whySchema.nullable(),
    }),
  )
  .describe('Last changes of the status and of the health of each arm that this router has seen.');

export const statusSchema = z
  .strictObject({
    ...summary,
    serving: z.boolean().describe('Whether requests are answered now; independent of updates.'),
    revision,
    manager: z.string().describe('Manager that applied the definition last.'),
    endpoints: z.array(z.strictObject({ type: z.string(), url: z.string() })),
    arms: z.array(armSchema),
    resource_usage: z.strictObject({
      cpu_cores: z.number().nullable().describe('null: not known.'),
      memory_bytes: z.number().nullable().describe('null: not known.'),
      replicas: count,
      requests_in_flight: count,
      requests_queued: count,
    }),
    conditions: z.array(
      z.strictObject({
        type: z.enum(['Available', 'Progressing', 'Promoting', 'Rollout', 'Overridden']),
        status: z.enum(['True', 'False']),
        reason: z.string(),
        message: z.string(),
      }),
    ),
    history: historySchema,
    why: whySchema.nullable(),
    broken_file: z
      .strictObject({ file: z.string(), message: z.string() })
      .nullable()
      .describe(
        'The file of the models folder that this model comes from, while its definition has faults: the last good one is served.',
      ),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'ModelStatus' });

export const versionsSchema = z
  .strictObject({
    model_id: idSchema,
    versions: z.array(
      z
        .strictObject({
          revision,
          version: versionSchema,
          current: z.boolean(),
          hash: z.string().describe('Equal definitions have equal hashes.'),
          by: z.string(),
          manager: z.string(),
          applied_at: time,
          definition: definitionSchema,
        })
        .meta({ id: 'Revision' }),
    ),
  })
  .meta({ id: 'Versions' });

const gate = z.enum(['failed', 'slow', 'ratio']);
const trials = z.strictObject({
  n: count.describe('Closed trials.'),
  harmed: z.number().min(0).describe('Those among them that were harmed.'),
});
/** Evidence is a ratio of likelihoods: 100 is enough for alpha 0.01. */
const evidence = z.number().min(0).describe('Evidence against the candidate being no worse.');

export const rolloutSchema = z
  .strictObject({
    model_id: idSchema,
    candidate: z.string(),
    id: z.string().describe('New for every start.'),
    phase: z.enum(['running', 'held', 'paused', 'aborted', 'done']),
    step: z.int().min(1).describe('Counts from 1.'),
    steps: z.array(percent).describe('Shares of the steps; empty when the definition changed.'),
    percent: percent.describe('Share of the candidate in force.'),
    started_at: time,
    since: time.describe('When the step or the phase began.'),
    by: z.string().optional().describe('Who changed it last by hand.'),
    verdict: z
      .strictObject({
        do: z.enum(['advance', 'hold', 'pause', 'abort', 'done']),
        gate: gate.nullable(),
        reason: z.string(),
        e: evidence,
        need: z
          .strictObject({ p50: z.number(), p95: z.number() })
          .nullable()
          .describe(
            'Seconds until there is enough evidence at the present rate, median and 95th percentile.',
          ),
      })
      .nullable(),
    gates: z.array(z.strictObject({ name: gate, e: evidence, stable: trials, candidate: trials })),
    callers: count.describe('Distinct callers that were seen.'),
    uncounted: count.describe('Requests that name no caller and cannot count.'),
  })
  .meta({ id: 'Rollout' });

export const explainSchema = z
  .strictObject({
    model_id: idSchema,
    key: z.string(),
    arm: z.string(),
    version: versionSchema,
    reason: z
      .enum(['only_arm', 'cohort', 'in_turn', 'drawn'])
      .describe('drawn: anew for each request of a rollout; `arm` is the likeliest.'),
    position: z.number().optional().describe('Position of the key among all callers, 0 to 1.'),
    interval: z.tuple([z.number(), z.number()]).optional().describe('Positions the arm gets.'),
    shares: z.record(z.string(), percent),
  })
  .meta({ id: 'Explanation' });
