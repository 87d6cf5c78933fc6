import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DEFAULT_IMAGES } from '../../../lib/spec';
import { ROOT } from '../../support/sources';

// What scripts/test-cluster.sh asks of a cluster that it cannot bring the image to.

const checkNodes = (image: string) =>
  promisify(execFile)(join(ROOT, 'scripts', 'check-nodes.sh'), [image], { timeout: 60_000 });

test('nodes with the image pass', async () => {
  await checkNodes(DEFAULT_IMAGES.onnx);
});

test('a node without the image is named within a minute, with the cause and the correction', async () => {
  const image = 'localhost/absent:1';
  await expect(checkNodes(image)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^node \S+ does not start localhost\/absent:1: (?:ErrImagePull|ImagePullBackOff) .+\n(?:node .+\n)*push localhost\/absent:1 .+ or import .+\n$/,
    ) as string,
  });
});
