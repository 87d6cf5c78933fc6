import { artifactPrefix } from '../../objects/artifact';
import type { Arm } from '../../spec';
import { slugOf, STABLE } from '../../spec';
import type { ModelState } from '../change';
import { deploymentOf, listAt, podOf, valueAt } from '../change';
import { cohortKeyOf, isSplit, saltOf } from '../traffic';
import { abandonedRollouts } from './release';
import type { PlanRule } from './rule';
import { listed, percentText, quoted } from './rule';

export const cohortsMoveBackwards: PlanRule = {
  id: 'cohorts-move-backwards',
  severity: 'high',
  when: 'callers of a candidate get another version again, because its share falls, it goes, or candidates change places',
  check: (change) => {
    const { traffic } = change;
    const back = (traffic?.moves ?? []).filter(
      ({ from, to }) => from.arm !== STABLE && from.version !== to.version,
    );
    if (traffic === undefined || traffic.reshuffled) return [];
    const moved = back.map(({ percent, from, to }) => ({
      path: 'candidates',
      reason: `${percentText(percent)} of the callers get ${quoted(to.version)} (${quoted(to.arm)}) again after ${quoted(from.version)} (${quoted(from.arm)})`,
      fix: 'keep or raise the share; a candidate that failed is ended this way, and its callers notice it',
    }));
    return [...moved, ...abandonedRollouts(change)];
  },
};

export const saltChanged: PlanRule = {
  id: 'salt-changed',
  severity: 'high',
  when: 'the salt of the cohorts changes while traffic is split: callers are distributed anew',
  check: ({ before, after, traffic }) => {
    const [old, next] = [before?.spec, after?.spec];
    if (old === undefined || next === undefined || saltOf(old) === saltOf(next)) return [];
    if (!isSplit(old) || !isSplit(next)) return [];
    const moved = (traffic?.moves ?? []).reduce((sum, { percent }) => sum + percent, 0);
    return [
      {
        path: 'inference.cohort.salt',
        reason: `callers are distributed anew: about ${percentText(Math.round(moved))} of them change between arms in both directions`,
        fix: 'change the salt only between experiments, while one arm has all traffic',
      },
    ];
  },
};

export const cohortKeyChanged: PlanRule = {
  id: 'cohort-key-changed',
  severity: 'high',
  when: 'the header, claim or cookie that tells callers apart changes while traffic is split',
  check: ({ before, after }) => {
    const [old, next] = [before?.spec, after?.spec];
    if (old === undefined || next === undefined || !isSplit(old) || !isSplit(next)) return [];
    const keys = [old, next].map(({ inference }) => cohortKeyOf(inference.cohort));
    if (keys[0] === keys[1]) return [];
    return [
      {
        path: 'inference.cohort',
        reason: `callers were told apart by ${quoted(keys[0])} and are by ${quoted(keys[1])}: they are distributed anew, and those without it change arms from request to request`,
        fix: 'change the key while one arm has all traffic',
      },
    ];
  },
};

export const modelDeleted: PlanRule = {
  id: 'model-deleted',
  severity: 'high',
  when: 'a model goes: its callers get 404',
  check: ({ before, after }) => {
    if (before === undefined || after !== undefined) return [];
    const arms = before.spec?.arms.filter(({ role }) => role.kind !== 'shadow') ?? [];
    const versions = arms.map(({ version }) => version);
    const what = versions.length === 0 ? '' : ` (${listed(versions)})`;
    return [
      {
        path: '',
        reason: `requests for this model${what} are refused with 404`,
        fix: 'make sure that it has no callers: ai_model_requests_total of the last weeks',
      },
    ];
  },
};

/** The steps of a promotion in Git, in the documentation of definitions. */
export const promoteInOneStep: PlanRule = {
  id: 'promote-in-one-step',
  severity: 'high',
  when: 'a candidate goes and stable takes its version in the same change',
  check: ({ before, after }) => {
    const [old, next] = [before?.spec, after?.spec];
    if (old === undefined || next === undefined || old.version === next.version) return [];
    const gone = old.arms
      .slice(1)
      .filter(({ role, version }) => role.kind !== 'shadow' && version === next.version)
      .filter(({ name }) => !next.arms.some((arm) => arm.name === name));
    return gone.map(({ name, version }) => ({
      path: 'version',
      reason: `until stable has rolled, callers of ${quoted(name)} get ${quoted(old.version)} again instead of ${quoted(version)}`,
      fix: 'first give the candidate traffic 100 and stable its version; remove the candidate in a second change',
    }));
  },
};

/**
 * What an arm runs: its image, and where its artifact comes from. Files travel in ConfigMaps that
 * are named by their content; a definition in a manifest does not hold them.
 */
function contentOf(
  state: ModelState | undefined,
  id: string,
  { name, image, source }: Arm,
): string {
  const volumes = listAt(podOf(deploymentOf(state, id, name)), 'volumes');
  const files = volumes
    .map((volume) => valueAt(volume, 'configMap', 'name'))
    .filter((one) => typeof one === 'string' && one.startsWith(artifactPrefix(slugOf(id))));
  return JSON.stringify([image, source?.uri, source?.sha256, files]);
}

export const versionReused: PlanRule = {
  id: 'version-reused',
  severity: 'medium',
  when: 'another image or artifact runs under the same version',
  check: ({ id, before, after }) => {
    const old = new Map(before?.spec?.arms.map((arm) => [arm.version, arm]));
    return (after?.spec?.arms ?? []).flatMap((arm) => {
      const had = old.get(arm.version);
      if (had === undefined || contentOf(before, id, had) === contentOf(after, id, arm)) return [];
      return [
        {
          path: 'version',
          reason: `${quoted(arm.name)} runs another image or artifact as ${quoted(arm.version)}: answers, metrics and the audit record name the version, and cannot tell the two apart`,
          fix: 'give it a version of its own',
        },
      ];
    });
  },
};
