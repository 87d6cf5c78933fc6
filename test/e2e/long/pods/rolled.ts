import { basename } from 'node:path';
import type { ModelInput } from '../../../../lib/spec';
import { apply } from '../../cluster/support/kubectl';
import type { Place } from '../../cluster/support/place';
import { install } from '../../cluster/support/place';
import { stored, storeOf } from '../../cluster/support/store';
import type { Story } from '../../cluster/support/stories';
import {
  canDrain,
  drain,
  promoteAndAbort,
  scale,
  underLoad,
  update,
} from '../../cluster/support/stories';
import type { Recipe } from './image';
import { findImage } from './image';

/** A model server made by others that is put through the stories of the fire suite. */
export interface Rolled {
  readonly recipe: Recipe;
  /** The file that its pods fetch. */
  readonly artifact: () => string;
  readonly model: (image: string) => Pick<ModelInput, 'framework' | 'server'>;
  /** Of the tensor `x`, two numbers. */
  readonly shape: readonly number[];
  /** What its model sleeps, so that with the wait for its turn an answer takes about a second. */
  readonly delaySeconds: number;
}

const TIMEOUT_SECONDS = 10;

function storyOf(
  { model, shape, delaySeconds }: Rolled,
  place: Place,
  image: string,
  id: string,
  file: string,
) {
  const inputs = [{ name: 'x', datatype: 'FP32', shape, data: [4, 4] }];
  const definition: ModelInput = {
    id,
    version: 'v1',
    ...model(image),
    source: stored(place.namespace, basename(file)),
    env: { DELAY_SECONDS: String(delaySeconds) },
    resources: { cpu: '100m', memory: '1Gi' },
    scaling: { minReplicas: 3, maxReplicas: 3 },
    health: { periodSeconds: 1, startupSeconds: 300 },
    inference: { timeoutSeconds: TIMEOUT_SECONDS, maxConcurrency: 128 },
  };
  const story: Story = {
    place,
    model: definition,
    asked: { path: `/v2/models/${id}/infer`, body: { inputs } },
  };
  return story;
}

/** The suite of one server. */
export function rolled(server: Rolled): void {
  const kind = server.recipe.server;
  const image = findImage(server.recipe);
  // Why it is skipped was printed when its image was looked for.
  const suite = image === undefined ? describe.skip : describe;

  suite(`${kind} in pods, 200 requests a second of one second each`, () => {
    let place: Place;
    let file = '';
    const story = (id: string): Story => storyOf(server, place, image ?? '', id, file);

    beforeAll(async () => {
      file = server.artifact();
      place = await install(kind, { props: { longestTimeoutSeconds: TIMEOUT_SECONDS } });
      await apply(storeOf([file]), '--namespace', place.namespace);
      await place.kubectl('rollout', 'status', 'deployment/store', '--timeout=60s');
    });
    afterAll(() => place.end());

    test('a rolling update, more and fewer replicas', async () => {
      const told = story('rolled');
      await underLoad(told, async () => {
        await update(told);
        await scale(told, 4);
      });
    });

    test('a node that is drained, within the budget', async () => {
      if (!(await canDrain())) return;
      const told = story('drained');
      await underLoad(told, () => drain(told));
    });

    test('a canary, its promotion, and the abort of the next', async () => {
      const told = story('promoted');
      await underLoad(told, () => promoteAndAbort(told));
    });
  });
}
