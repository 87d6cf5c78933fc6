import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { dashboardFiles } from '../../lib/monitoring';
import type { CommandContext } from '../command-context';

/** Dashboards as files, for the import or the provisioning of Grafana. */
export function addDashboards(program: Command, { io, format }: CommandContext): void {
  program
    .command('dashboards')
    .description('Write the dashboards for Grafana: fleet, one model, language models, routers.')
    .argument('[folder]', 'where they go', 'dashboards')
    .addHelpText('after', '\nExample:\n  ai-model-service dashboards grafana/dashboards')
    .action((folder: string) => {
      const files = dashboardFiles();
      mkdirSync(resolve(io.cwd, folder), { recursive: true });
      for (const [name, text] of files) writeFileSync(resolve(io.cwd, folder, name), text);
      const written = [...files.keys()].map((name) => join(folder, name));
      if (format() === 'json') io.out(`${JSON.stringify({ written })}\n`);
      else for (const path of written) io.out(`${path}\n`);
    });
}
