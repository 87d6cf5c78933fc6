import { SERVICE_FAMILIES } from './families';
import { sample } from '../shared/sample';
import type { Observation } from './metrics';

type Key = keyof typeof SERVICE_FAMILIES;

/** The families of the service that are one number. */
const VALUES: Readonly<Record<Exclude<Key, 'deployments'>, (seen: Observation) => number>> = {
  watchAge: ({ now, snapshot }) => Math.max(0, now - snapshot.at) / 1000,
  watchSynced: ({ snapshot }) => (snapshot.phase === 'synced' ? 1 : 0),
  models: ({ snapshot }) => snapshot.models.size,
  lag: ({ lagSeconds }) => lagSeconds,
};

/** All samples of one family of the service but `deployments`, which is counted. */
export function serviceLines(key: Exclude<Key, 'deployments'>, seen: Observation): string {
  return sample(SERVICE_FAMILIES[key].name, '', VALUES[key](seen));
}
