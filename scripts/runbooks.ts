import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runbooksPage } from './runbooks-page';

// Writes docs/runbooks.md from the table of alerts.
writeFileSync(join(__dirname, '..', 'docs', 'runbooks.md'), runbooksPage());
