import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROMTOOL_FILES } from '../test/monitoring/promtool';

// Writes what scripts/check-alerts.sh hands to promtool into a folder: rules of a model with a
// candidate, a shadow and an objective and of the service, faults with the alerts that must fire,
// and the queries of the dashboards.
const [folder = '.'] = process.argv.slice(2);
for (const [name, content] of PROMTOOL_FILES) {
  writeFileSync(join(folder, name), JSON.stringify(content, null, 1));
}
