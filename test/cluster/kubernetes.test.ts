import { stopApiServers } from '../support/apiserver';
import { clusterConformance } from './conformance';
import { bringingFiles, startFake } from './kubernetes/fake';

// The first test of a file waits until jest has transformed client-node.
jest.setTimeout(60_000);

afterEach(stopApiServers);

clusterConformance('kubernetes over a fake API server', async () => {
  const fake = await startFake();
  const cluster = bringingFiles(await fake.open());
  return { cluster, end: fake.end };
});
