// Judges reports of tools by config/manifest-waivers.yaml:
//   npx tsx scripts/findings.ts TOOL=REPORT.json…
// Prints what is not waived and which waivers are for nothing; either is a failure.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { checkovFindings, kubeconformFindings, kubeScoreFindings } from './reports';
import type { Finding } from './waivers';
import { judge, waiversSchema } from './waivers';

const WAIVERS = 'config/manifest-waivers.yaml';

const READERS: Readonly<Record<string, (report: unknown) => readonly Finding[]>> = {
  kubeconform: kubeconformFindings,
  'kube-score': kubeScoreFindings,
  checkov: checkovFindings,
};

function read(argument: string): { readonly tool: string; readonly findings: readonly Finding[] } {
  const [tool = '', path = ''] = argument.split('=');
  const reader = READERS[tool];
  if (reader === undefined)
    throw new Error(`${tool}: no such tool; known: ${Object.keys(READERS).join(', ')}`);
  return { tool, findings: reader(JSON.parse(readFileSync(path, 'utf8'))) };
}

const reports = process.argv.slice(2).map(read);
const waivers = waiversSchema.parse(parse(readFileSync(WAIVERS, 'utf8')));
const all = reports.flatMap(({ findings }) => findings);
const { open, waived, unused } = judge(
  all,
  waivers,
  reports.map(({ tool }) => tool),
);
for (const { tool, check, object, file, says } of open)
  console.log(`${tool} ${check}: ${object} in ${file}: ${says}`);
for (const one of unused) console.log(`${WAIVERS}: nothing was found for ${one}; take it out`);
console.log(`${open.length} open, ${waived} waived, ${unused.length} unused waivers`);
if (open.length > 0 || unused.length > 0) process.exitCode = 1;
