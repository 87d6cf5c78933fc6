import { clusterConformance } from './conformance';
import { open, place } from './local/support';

clusterConformance('local', async () => {
  const here = place();
  const cluster = await open(here);
  const end = async (): Promise<void> => {
    await cluster.close();
    here.remove();
  };
  return { cluster, end };
});
