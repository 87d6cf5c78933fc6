import { stopApiServers } from '../support/apiserver';
import { clusterConformance } from './conformance';
import { bringingFiles, startFake } from './kubernetes/fake';

afterEach(stopApiServers);

clusterConformance('kubernetes over a fake API server', async () => {
  const fake = await startFake();
  const cluster = bringingFiles(await fake.open());
  return { cluster, end: fake.end };
});
