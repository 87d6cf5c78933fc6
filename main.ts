// What `cdk8s synth` runs: every definition of models/ in every environment, as constructs. The
// command `ai-model-service synth` writes the same bytes without the tree, in a fraction of the
// time.
import { join } from 'node:path';
import { Chart } from 'cdk8s';
import { ModelDeployment, namespaceChart } from './lib/constructs';
import type { Environment, Finding } from './lib/spec';
import { DefinitionError } from './lib/spec';
import type { Definition } from './lib/synth';
import {
  discover,
  findingGroups,
  formatFinding,
  loadEnvironments,
  manifestName,
  previousIn,
} from './lib/synth';
import { LinearApp } from './lib/synth/linear-app';

/** Waivers that ended before it do not count. */
const TODAY = new Date().toISOString().slice(0, 10);

function synthesize(
  definitions: readonly Definition[],
  environment: Environment,
  outdir: string,
): void {
  const app = new LinearApp({ outdir });
  const previous = previousIn(outdir);
  const findings: Finding[] = [];
  const files = new Map<string, string>();
  namespaceChart(app, environment);
  for (const { spec, file } of definitions) {
    const chart = new Chart(app, spec.id);
    const model = new ModelDeployment(chart, 'model', {
      model: spec,
      environment,
      today: TODAY,
      previous: previous(manifestName(spec)),
    });
    findings.push(...model.findings);
    files.set(spec.id, file);
  }
  for (const { first, others } of findingGroups(findings)) {
    console.error(`${formatFinding(first, files.get(first.model))}${others}`);
  }
  app.synth();
}

async function main(): Promise<void> {
  const definitions = await discover('models');
  const environments = await loadEnvironments('.');
  const { outdir } = new LinearApp();
  for (const environment of environments.all) {
    const own = environments.inFolders ? join(outdir, environment.name) : outdir;
    synthesize(definitions, environment, own);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof DefinitionError ? error.message : error);
  process.exitCode = 1;
});
