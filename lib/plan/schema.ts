import { z } from 'zod';

// The Plan as JSON: `plan --format json` and the management API write it. Its JSON Schema is
// schema/plan.schema.json.

/** How bad a risk is: high needs a decision, medium a second look, low is good to know. */
export const SEVERITIES = ['high', 'medium', 'low'] as const;

const riskSchema = z.object({
  rule: z.string().describe('Id of the rule, for `--fail-on`; docs/plan.md lists them.'),
  severity: z.enum(SEVERITIES),
  path: z.string().describe('Field of the definition, or of the object.'),
  reason: z.string().describe('What happens, and to whom.'),
  fix: z.string().describe('How to avoid it.'),
});

const shareSchema = z.object({
  arm: z.string(),
  version: z.string(),
  role: z.enum(['traffic', 'shadow', 'rollout']),
  percent: z
    .number()
    .describe('Percent of live traffic, or of its copies; of a rollout its first step.'),
});

const moveSchema = z.object({
  percent: z.number().describe('Percent of the callers.'),
  from: z.object({ arm: z.string(), version: z.string() }),
  to: z.object({ arm: z.string(), version: z.string() }),
});

const trafficSchema = z.object({
  before: z.array(shareSchema),
  after: z.array(shareSchema),
  key: z.string().describe('What tells callers apart, e.g. `header x-user-id`.'),
  reshuffled: z
    .boolean()
    .describe('Key or salt changed: callers are distributed anew, and `moves` are expectations.'),
  moves: z.array(moveSchema).describe('Callers that get another arm or another version.'),
});

const rangeSchema = z.object({ min: z.number(), max: z.number() });

const restartSchema = z.object({
  arm: z.string(),
  kind: z
    .enum(['roll', 'start', 'stop'])
    .describe('roll: pods are replaced; start: an arm is new; stop: an arm ends.'),
  pods: rangeSchema.describe('Pods at the fewest and at the most replicas.'),
  seconds: rangeSchema.describe(
    'Longest duration: ceil(pods / surge) × (startup budget + 10 s); 0 of an arm that ends.',
  ),
  because: z.array(z.string()).describe('Fields of the pod template that changed.'),
});

const moneySchema = rangeSchema.describe(
  'Per month of 730 h, at the fewest and at the most replicas; without the parts that have no price.',
);
const costSchema = z.object({
  before: moneySchema,
  after: moneySchema,
  currency: z.string(),
  unknown: z
    .object({ before: z.array(z.string()), after: z.array(z.string()) })
    .describe('Prices that the environment lacks: without them an amount is a lower bound.'),
});

const nowSchema = z.object({
  monthly: moneySchema.describe('At the observed replicas.'),
  per_1000_requests: rangeSchema.nullable().describe('null: no request, or a price is unknown.'),
  currency: z.string(),
  unknown: z.array(z.string()).describe('Prices that the environment lacks.'),
});

const fieldSchema = z.object({
  path: z.string(),
  before: z.string().optional().describe('As JSON, shortened; absent: there was none.'),
  after: z.string().optional(),
  lines: z
    .array(z.string())
    .optional()
    .describe('Difference of a long text: lines that begin with `-`, `+`, a blank, or `@@`.'),
});

const objectSchema = z.object({
  action: z
    .enum(['create', 'update', 'replace', 'delete'])
    .describe('replace: its name carries a hash of its content, so a new one takes its place.'),
  kind: z.string(),
  name: z.string(),
  namespace: z.string().optional().describe('Where it is not that of the environment.'),
  fields: z.array(fieldSchema),
});

const modelPlanSchema = z.object({
  model_id: z.string(),
  environments: z.array(z.string()).describe('Environments in which it changes in this way.'),
  action: z.enum(['create', 'update', 'delete']),
  risks: z.array(riskSchema).describe('Worst first.'),
  traffic: trafficSchema.optional().describe('Absent: no caller gets another arm or version.'),
  restarts: z.array(restartSchema).describe('Empty: no pod starts, restarts or ends.'),
  cost: costSchema
    .optional()
    .describe('Absent: the environment has no prices, or nothing of the cost changes.'),
  now: nowSchema.optional().describe('What the model costs as it runs, with `--observed`.'),
  objects: z.array(objectSchema),
  hash: z
    .object({ before: z.string().optional(), after: z.string().optional() })
    .describe('Hashes of the definition.'),
});

const findingSchema = z.object({
  rule: z.string(),
  severity: z.enum(['error', 'warning']),
  model: z.string(),
  path: z.string(),
  reason: z.string(),
  fix: z.string(),
});

export const planSchema = z
  .object({
    format: z.literal(1).describe('Rises when a field changes its meaning or goes.'),
    base: z.string().describe('What it is compared with.'),
    models: z.array(modelPlanSchema).describe('Models that change, the worst first.'),
    unchanged: z.int().describe('Number of models that do not change.'),
    shared: z.array(objectSchema).describe('Objects of no single model: namespaces.'),
    findings: z.array(findingSchema).describe('Error findings of the models that change.'),
    notes: z.array(z.string()).describe('What could not be compared, and why.'),
    totals: z.object({ create: z.int(), update: z.int(), delete: z.int() }).describe('Objects.'),
    costs: z
      .array(z.object({ environment: z.string(), ...costSchema.shape }))
      .describe('All models of an environment that has prices, changed or not.'),
    prices: z.array(z.string()).describe('Where the prices come from, with their dates.'),
    library: z.string().describe('Version of the library that rendered both sides.'),
  })
  .describe('What a change of definitions means.');

export type Plan = z.output<typeof planSchema>;
export type ModelPlan = z.output<typeof modelPlanSchema>;
export type Risk = z.output<typeof riskSchema>;
export type Severity = Risk['severity'];
export type Traffic = z.output<typeof trafficSchema>;
export type TrafficShare = z.output<typeof shareSchema>;
export type Move = z.output<typeof moveSchema>;
export type Restart = z.output<typeof restartSchema>;
export type ObjectChange = z.output<typeof objectSchema>;
export type FieldChange = z.output<typeof fieldSchema>;
export type CostNow = z.output<typeof nowSchema>;
export type PlanCost = z.output<typeof costSchema>;

/** The JSON Schema of a Plan. */
export function planJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(planSchema, { io: 'input' });
  return { $schema, title: 'Plan', ...schema };
}
