import { SERVICE_FAMILIES } from './families';
import { sample } from '../shared/sample';
import type { Observation } from './metrics';
import { labelText } from './print';

type Key = keyof typeof SERVICE_FAMILIES;

/** Those that have labels. */
type Labelled = 'deployments' | 'watchAge';

/** The families of the service that are one number. */
const VALUES: Readonly<Record<Exclude<Key, Labelled>, (seen: Observation) => number>> = {
  leader: ({ isLeader }) => (isLeader ? 1 : 0),
  peers: ({ peers }) => peers,
  watchSynced: ({ snapshot }) => (snapshot.phase === 'synced' ? 1 : 0),
  models: ({ snapshot }) => snapshot.models.size,
  lag: ({ lagSeconds }) => lagSeconds,
};

/** A view that was never heard of has no age. */
function ageLines({ now, views }: Observation): string {
  const { name: family } = SERVICE_FAMILIES.watchAge;
  const lines = views.map(({ name, at }) => {
    const seconds = at === undefined ? undefined : Math.max(0, now - at) / 1000;
    return seconds === undefined ? '' : sample(family, labelText({ watch: name }), seconds);
  });
  return lines.join('');
}

/** All samples of one family of the service but `deployments`, which is counted. */
export function serviceLines(key: Exclude<Key, 'deployments'>, seen: Observation): string {
  if (key === 'watchAge') return ageLines(seen);
  return sample(SERVICE_FAMILIES[key].name, '', VALUES[key](seen));
}
