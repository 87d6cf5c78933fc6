import { armPath } from './arms';
import type { FindingRule } from './finding';
import { STABLE } from './names';

export const unknownArtifact: FindingRule = {
  id: 'artifact-unknown',
  severity: 'error',
  check: (spec) =>
    spec.arms.flatMap((arm) => {
      const { source } = arm;
      const doubt = source?.content?.doubt;
      // A candidate that inherits its source repeats the finding of stable.
      const inherited = arm.name !== STABLE && source?.uri === spec.source?.uri;
      if (source === undefined || doubt === undefined || inherited) return [];
      const { problem, fix } = doubt;
      return [{ path: armPath(spec, arm, 'source'), reason: `${source.uri} ${problem}`, fix }];
    }),
};
