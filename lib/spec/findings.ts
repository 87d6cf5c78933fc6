import { armPath } from './arms';
import { unknownArtifact } from './artifactrules';
import { budgetExceeded, budgetMaximum, budgetUnknown } from './budgetrules';
import {
  cpuQuota,
  gpuQuota,
  memoryQuota,
  singleReplica,
  startupBudget,
  updateReplaces,
} from './capacityrules';
import { EXIT_SECONDS, PRE_STOP_SECONDS } from './drain';
import { withDefaultGpus } from './environment';
import type { Finding, FindingContext, FindingRule } from './finding';
import { nativeImage, numericUser, pinnedImage, sleepBinary } from './imagefindings';
import { modelSchema } from './model';
import { STABLE } from './names';
import type { ModelSpec } from './parse';
import { quantityValue } from './quantity';
import { entryOf } from './entry';
import { pathInForm, wordsInForm } from './spelling';
import type { Form } from './wire';

export type { Finding } from './finding';

const gracePeriod: FindingRule = {
  id: 'grace-period',
  severity: 'error',
  check: ({ overrides, inference }) => {
    const grace = graceOverride(overrides.Deployment);
    const needed = PRE_STOP_SECONDS + inference.timeoutSeconds + EXIT_SECONDS;
    return grace === undefined || grace >= needed
      ? []
      : [
          {
            path: 'overrides.Deployment',
            reason: `terminationGracePeriodSeconds ${grace} is shorter than preStop (${PRE_STOP_SECONDS} s) + the longest request (${inference.timeoutSeconds} s) + ${EXIT_SECONDS} s: an update would cut requests off`,
            fix: `set it to at least ${needed}, or lower \`inference.timeoutSeconds\``,
          },
        ];
  },
};

function graceOverride(patch: unknown): number | undefined {
  const at = (value: unknown, key: string): unknown =>
    typeof value === 'object' && value !== null
      ? entryOf(value as Record<string, unknown>, key)
      : undefined;
  const grace = at(at(at(at(patch, 'spec'), 'template'), 'spec'), 'terminationGracePeriodSeconds');
  return typeof grace === 'number' ? grace : undefined;
}

const cohortKey: FindingRule = {
  id: 'cohort-key',
  severity: 'warning',
  check: ({ candidates, definition }) => {
    const inference = definition['inference'] as { cohort?: unknown } | undefined;
    const split = candidates.some(({ traffic = 0 }) => traffic > 0);
    return !split || inference?.cohort !== undefined
      ? []
      : [
          {
            path: 'inference.cohort',
            reason:
              'traffic is split by the header x-user-id; callers that do not send it change arms from request to request',
            fix: 'name the header, claim or cookie that identifies your callers',
          },
        ];
  },
};

const promoteInOneStep: FindingRule = {
  id: 'promote-in-one-step',
  severity: 'error',
  check: (spec, { previous }) => {
    const gone = previous?.arms
      .slice(1)
      .find(
        (arm) =>
          arm.version === spec.version &&
          arm.role.kind !== 'shadow' &&
          !spec.arms.slice(1).some(({ name }) => name === arm.name),
      );
    return gone === undefined || previous?.version === spec.version
      ? []
      : [
          {
            path: 'version',
            reason: `candidate ${gone.version} goes and stable takes its version at once: until stable has rolled, its callers would get the old version again`,
            fix: 'first give the candidate traffic 100 and stable its version; remove the candidate in a second change',
          },
        ];
  },
};

const SECRET_NAME = /(KEY|TOKEN|SECRET|PASSWORD)$/i;

const secretLiteral: FindingRule = {
  id: 'secret-literal',
  severity: 'warning',
  check: (spec) =>
    spec.arms.flatMap((arm) =>
      Object.entries(arm.env)
        .filter(([name, value]) => typeof value === 'string' && SECRET_NAME.test(name))
        .filter(([name, value]) => arm.name === STABLE || entryOf(spec.env, name) !== value)
        .map(([name]) => ({
          path: armPath(spec, arm, `env.${name}`),
          reason: 'this looks like a secret, and a definition is stored and shown as plain text',
          fix: 'use { secret, key }',
        })),
    ),
};

const cpuLimitRule: FindingRule = {
  id: 'cpu-limit-below-request',
  severity: 'error',
  check: (spec, { environment }) =>
    spec.arms.flatMap((arm) => {
      const { cpu = environment.defaultResources.cpu, cpuLimit } = arm.resources;
      return cpuLimit === 'none' || quantityValue(cpuLimit) >= quantityValue(cpu)
        ? []
        : [
            {
              path: armPath(spec, arm, 'resources.cpuLimit'),
              reason: `the limit ${cpuLimit} is below the request ${cpu}; Kubernetes refuses that`,
              fix: 'raise `cpuLimit`, lower `cpu`, or leave `cpuLimit` out',
            },
          ];
    }),
};

const batchingIdempotent: FindingRule = {
  id: 'batching-idempotent',
  severity: 'warning',
  check: ({ arms, inference }) =>
    inference.batching === undefined ||
    inference.idempotent ||
    arms.every(({ server }) => server.kind === 'onnx')
      ? []
      : [
          {
            path: 'inference.batching',
            reason:
              'a batched call that fails is repeated one request at a time, so requests that are not idempotent are never batched: batching has no effect',
            fix: 'set `inference.idempotent` to true, or leave `batching` out',
          },
        ],
};

const batchingRows: FindingRule = {
  id: 'batching-rows',
  severity: 'warning',
  check: ({ arms, inference }) =>
    inference.batching === undefined ||
    inference.batching.rowsIndependent === true ||
    arms.every(({ server }) => server.kind === 'onnx')
      ? []
      : [
          {
            path: 'inference.batching.rowsIndependent',
            reason:
              'the router cannot see whether a row’s answer depends on other rows of the same call, so it sends each request alone: batching has no effect for servers other than the built-in ONNX server',
            fix: 'set it to true if each row’s answer depends on that row alone, or leave `batching` out',
          },
        ],
};

const sloWithoutRules: FindingRule = {
  id: 'slo-without-rules',
  severity: 'warning',
  check: ({ slo }, { environment: { monitoring } }) =>
    slo === undefined || monitoring.style === 'operator'
      ? []
      : [
          {
            path: 'slo',
            reason: `monitoring.style of the environment is ${monitoring.style}: no PrometheusRule is rendered, so by itself nothing watches this objective`,
            fix: 'set monitoring.style to operator, or give Prometheus the file that `ai-model-service rules` writes',
          },
        ],
};

/** Every rule, in the order of reports. */
export const FINDING_RULES: readonly FindingRule[] = [
  unknownArtifact,
  gracePeriod,
  startupBudget,
  cpuLimitRule,
  gpuQuota,
  cpuQuota,
  memoryQuota,
  budgetExceeded,
  budgetMaximum,
  budgetUnknown,
  updateReplaces,
  singleReplica,
  promoteInOneStep,
  pinnedImage,
  numericUser,
  nativeImage,
  cohortKey,
  secretLiteral,
  sleepBinary,
  batchingIdempotent,
  sloWithoutRules,
  batchingRows,
];

function waiverFindings(spec: ModelSpec, today: string | undefined): Finding[] {
  const known = FINDING_RULES.map(({ id }) => id);
  return spec.waivers.flatMap(({ rule, until }, index) => {
    const found = (reason: string, fix: string): Finding[] => [
      {
        rule: 'waiver',
        severity: 'warning',
        model: spec.id,
        path: `waivers[${index}]`,
        reason,
        fix,
      },
    ];
    if (!known.includes(rule))
      return found(`no rule is called ${rule}`, `use one of ${known.join(', ')}`);
    if (today !== undefined && until < today) {
      return found(
        `the waiver of ${rule} ended on ${until}`,
        'correct the cause, or renew the waiver',
      );
    }
    return [];
  });
}

/** Findings about a definition in an environment; waived findings are left out. */
export function findingsOf(spec: ModelSpec, context: FindingContext): readonly Finding[] {
  const waived = (rule: string): boolean =>
    spec.waivers.some(
      (waiver) =>
        waiver.rule === rule && (context.today === undefined || waiver.until >= context.today),
    );
  const filled = withDefaultGpus(spec, context.environment);
  const found = FINDING_RULES.filter(({ id }) => !waived(id)).flatMap(({ id, severity, check }) =>
    check(filled, context).map((one) => Object.assign({ rule: id, severity, model: spec.id }, one)),
  );
  return [...found, ...waiverFindings(spec, context.today)];
}

/** The same finding with the field names that its author uses. */
export function findingInForm(found: Finding, form: Form): Finding {
  const { path, reason, fix } = found;
  const words = wordsInForm(modelSchema, path, form);
  const own = pathInForm(modelSchema, path, form);
  return { ...found, path: own, reason: words(reason), fix: words(fix) };
}

/** Ids that would get the same object names in Kubernetes. */
export function slugClashes(
  specs: readonly ModelSpec[],
): readonly (readonly [ModelSpec, ModelSpec])[] {
  const seen = new Map<string, ModelSpec>();
  return specs.flatMap((spec) => {
    const first = seen.get(spec.slug);
    if (first === undefined) seen.set(spec.slug, spec);
    return first === undefined ? [] : [[first, spec] as const];
  });
}
