import type { PlanModel, PlannedEnvironment } from '../../lib/plan/plan';
import type { Environment, Finding, ModelSpec } from '../../lib/spec';
import type * as Kubernetes from '../../runtime/cluster/kubernetes';
import type { Project } from '../commands/project';
import type { Sides } from './sides';

/** How the cluster is reached. */
export interface LiveAccess {
  /** A kubeconfig file; absent: `KUBECONFIG`, or `~/.kube/config`. */
  readonly configPath?: string | undefined;
  readonly context?: string | undefined;
}

const refused = (spec: ModelSpec, reason: string): Finding => ({
  rule: 'refused-by-cluster',
  severity: 'error',
  model: spec.id,
  path: '',
  reason,
  fix: 'correct it, or what the cluster demands',
});

async function compareIn(
  reader: Kubernetes.LiveReader,
  { definitions }: Project,
  environment: Environment,
  errors: Finding[],
): Promise<PlannedEnvironment> {
  const [before, after] = [new Map<string, PlanModel>(), new Map<string, PlanModel>()];
  // One after the other: a model takes a dozen calls, and the API server has other callers.
  for (const { spec } of definitions) {
    const found = await reader.compare(spec, environment);
    if (found.before.length > 0) before.set(spec.id, { spec: found.spec, objects: found.before });
    after.set(spec.id, { spec, objects: found.after });
    errors.push(...found.refusals.map((reason) => refused(spec, reason)));
  }
  const side = { environment, shared: [] };
  return {
    name: environment.name,
    before: { ...side, models: before },
    after: { ...side, models: after },
  };
}

/**
 * Compares definitions with what runs, by server-side dry runs. Only fields that the writer of a
 * model owns count: not those of autoscalers, and no defaults.
 * @throws ClusterError when there is no access
 */
export async function liveSides(access: LiveAccess, project: Project): Promise<Sides> {
  // Loaded on demand: the client of Kubernetes is large.
  // oxlint-disable-next-line typescript/no-require-imports
  const { openLiveReader } = require('../../runtime/cluster/kubernetes') as typeof Kubernetes;
  const reader = await openLiveReader(access);
  const errors: Finding[] = [];
  try {
    const environments: PlannedEnvironment[] = [];
    for (const environment of project.environments.all) {
      environments.push(await compareIn(reader, project, environment, errors));
    }
    return { environments, notes: [], errors };
  } finally {
    reader.close();
  }
}
