import { repositoryOf } from '../../spec/images';
import type { Arm, Source } from '../../spec';
import { armPath } from '../../spec';
import type { ModelChange, ModelState } from '../change';
import { containersOf, valueAt } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { listed, quoted } from './rule';

/** Arms whose value differs from that of the arm of the same name before. */
function changedArms(change: ModelChange, of: (arm: Arm) => unknown): readonly Arm[] {
  const old = new Map(change.before?.spec?.arms.map((arm) => [arm.name, arm]));
  return (change.after?.spec?.arms ?? []).filter((arm) => {
    const had = old.get(arm.name);
    return had === undefined || JSON.stringify(of(had)) !== JSON.stringify(of(arm));
  });
}

const ownImage = ({ image, server }: Arm): string | undefined => image ?? server.image;

const pathIn = (change: ModelChange, arm: Arm, field: string): string =>
  change.after?.spec === undefined ? field : armPath(change.after.spec, arm, field);

export const imageNotPinned: PlanRule = {
  id: 'image-not-pinned',
  severity: 'medium',
  when: 'a new image is named by a tag, not by its digest',
  check: (change) =>
    changedArms(change, ownImage).flatMap((arm): readonly FoundRisk[] => {
      const image = ownImage(arm);
      if (image === undefined || image.includes('@sha256:')) return [];
      return [
        {
          path: pathIn(change, arm, 'image'),
          reason: `the tag of ${quoted(image)} can be moved: a restart may run something else than was reviewed`,
          fix: 'add @sha256:<digest>',
        },
      ];
    }),
};

const COMMIT = /@[0-9a-f]{40}(?:\/|$)/;

/** Whether a source gives the same bytes tomorrow. Files are in the repository. */
function isPinned({ scheme, sha256, uri }: Source): boolean {
  if (scheme === 'file' || sha256 !== undefined) return true;
  return (scheme === 'hf' && COMMIT.test(uri)) || (scheme === 'oci' && uri.includes('@sha256:'));
}

export const sourceNotPinned: PlanRule = {
  id: 'source-not-pinned',
  severity: 'medium',
  when: 'a new artifact has neither a digest nor a fixed revision',
  check: (change) =>
    changedArms(change, ({ source }) => [source?.uri, source?.sha256]).flatMap(
      (arm): readonly FoundRisk[] => {
        const { source } = arm;
        if (source === undefined || isPinned(source)) return [];
        return [
          {
            path: pathIn(change, arm, 'source'),
            reason: `${quoted(source.uri)} may hold other bytes at the next start: two replicas may answer differently`,
            fix:
              source.scheme === 'hf'
                ? 'name a commit: hf://organization/name@<40 hex digits>'
                : 'add `sha256`',
          },
        ];
      },
    ),
};

function registriesOf(state: ModelState | undefined): ReadonlySet<string> {
  const deployments = (state?.objects ?? []).filter(({ kind }) => kind === 'Deployment');
  const images = deployments.flatMap(containersOf).map((container) => valueAt(container, 'image'));
  return new Set(images.flatMap((image) => (typeof image === 'string' ? [registryOf(image)] : [])));
}

/** The registry of an image: `docker.io`, `ghcr.io`. */
export const registryOf = (image: string): string => repositoryOf(image).split('/')[0] ?? '';

export const registryWidened: PlanRule = {
  id: 'registry-widened',
  severity: 'high',
  when: 'an image comes from a registry that no model used before',
  check: ({ before, after, registries }) => {
    const known = new Set([...registriesOf(before), ...registries]);
    const fresh = [...registriesOf(after)].filter((registry) => !known.has(registry));
    if (known.size === 0 || fresh.length === 0) return [];
    return [
      {
        path: 'image',
        reason: `images come from ${listed(fresh)}, which no model used before`,
        fix: 'review who can push there; mirror the image into a registry of your own',
      },
    ];
  },
};

export const kindChanged: PlanRule = {
  id: 'server-changed',
  severity: 'medium',
  when: 'another kind of server runs the model',
  check: (change) => {
    const old = new Map(change.before?.spec?.arms.map((arm) => [arm.name, arm]));
    return (change.after?.spec?.arms ?? []).flatMap((arm): readonly FoundRisk[] => {
      const had = old.get(arm.name)?.server.kind;
      if (had === undefined || had === arm.server.kind) return [];
      return [
        {
          path: pathIn(change, arm, 'server'),
          reason: `${quoted(arm.name)} ran on ${quoted(had)} and does on ${quoted(arm.server.kind)}: numbers may differ in the last digits, and so do memory and latency`,
          fix: 'run the new server as a shadow first',
        },
      ];
    });
  },
};
