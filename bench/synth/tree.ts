// One run through constructs, a chart for each model. Arguments: folder, output, `linear` or
// `stock`.
import { App, Chart } from 'cdk8s';
import { ModelDeployment } from '../../lib/constructs';
import { parseEnvironment } from '../../lib/spec';
import { discover } from '../../lib/synth';
import { LinearApp } from '../../lib/synth/linear-app';

async function main([folder = '', outdir = '', kind = 'stock']: readonly string[]): Promise<void> {
  const app = kind === 'linear' ? new LinearApp({ outdir }) : new App({ outdir });
  const environment = parseEnvironment();
  for (const { spec } of await discover(folder)) {
    // oxlint-disable-next-line no-new
    new ModelDeployment(new Chart(app, spec.id), 'model', { model: spec, environment });
  }
  app.synth();
}

void main(process.argv.slice(2));
