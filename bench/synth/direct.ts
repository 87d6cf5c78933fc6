// One run as the command line does it: discover, synthesize, write. Arguments: folder of
// definitions, output.
import { discover, loadEnvironments, synthesize, writeManifests } from '../../lib/synth';

async function main([folder = '', out = '']: readonly string[]): Promise<void> {
  const definitions = await discover(folder);
  const { files } = synthesize(definitions, await loadEnvironments(folder));
  writeManifests(out, files);
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  console.log(JSON.stringify({ maxRSS, cpu: (userCPUTime + systemCPUTime) / 1000 }));
}

void main(process.argv.slice(2));
