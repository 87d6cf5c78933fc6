// What the router must do under fire, with its numbers: `npm run bench:fire [NAME…]`. The shipped
// service on one core; generator and replicas, each a process that can be killed, on the other.
import { aborted, batched, fuzzed, hungUp } from './callers';
import type { Found } from './found';
import { killed, replaced, sickened, slowed } from './replicas';
import { crowded, delayed, overloaded, shifted, swapped } from './traffic';

const SCENARIOS: Readonly<Record<string, () => Promise<Found> | Found>> = {
  'kill −9 one of 4 at 1,000/s': killed,
  'all replaced, one by one': replaced,
  'all replicas sick': sickened,
  'shares change under load': shifted,
  'one of 11 takes 2 s for 30 s': slowed,
  'three times the load': overloaded,
  'callers go away': aborted,
  'a caller goes, its server knows': hungUp,
  'spoiled requests': fuzzed,
  'a batch with bad items': batched,
  'table swap': swapped,
  'added latency, audit on': delayed,
  'many models, many connections': crowded,
};

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  let missed = 0;
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (wanted.length > 0 && !wanted.some((one) => name.includes(one))) continue;
    const { goal, measured, isMet } = await scenario();
    if (!isMet) missed += 1;
    console.log(`${isMet ? 'ok  ' : 'MISS'} ${name.padEnd(32)} ${measured}   [${goal}]`);
  }
  console.log(missed === 0 ? 'every goal is met' : `${missed} goals are missed`);
  process.exitCode = missed === 0 ? 0 : 1;
}

void main();
