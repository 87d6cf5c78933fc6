// The path of one request in files and frames, as ARCHITECTURE.md has them:
// `npx tsx bench/proxy/walk.ts [-v]`; `-v` names them.
import { walkOf, WALKED_CALLS } from '../../test/support/walk';

async function main(): Promise<void> {
  for (const call of WALKED_CALLS) {
    const { files, frames } = await walkOf(call);
    console.log(`${call.name}: ${files.length} files, ${frames.length} frames`);
    if (process.argv.includes('-v')) console.log([...files, ...frames, ''].join('\n'));
  }
}

void main();
