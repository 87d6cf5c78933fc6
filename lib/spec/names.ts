import { z } from 'zod';

/** Longest model id. Leaves 15 of a label's 63 characters to `--<candidate>`. */
const MAX_ID_CHARACTERS = 48;
/** Longest candidate name: slug (48) + `--` + 13 = 63, the limit of a DNS label. */
const MAX_CANDIDATE_CHARACTERS = 13;

/** The arm with all traffic that no candidate gets. */
export const STABLE = 'stable';

export const idSchema = z
  .string()
  .regex(
    /^[a-z](?:[a-z0-9_-]*[a-z0-9])?$/,
    'lower-case letters, digits, _ and -, starting with a letter and ending with a letter or digit; rename the model',
  )
  .max(MAX_ID_CHARACTERS, `at most ${MAX_ID_CHARACTERS} characters; shorten it`)
  .refine((id) => !/[_-]{2}/.test(id), {
    error: 'without two separators in a row (-- is kept for object names); use one',
  })
  .describe('Name of the model for callers. Its slug (_ becomes -) names the Kubernetes objects.');

export const versionSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,61}[A-Za-z0-9])?$/,
    '1 to 63 letters, digits, _ . + -, starting and ending with a letter or digit; write for example v1.0.0',
  )
  .describe('Version that runs. Shown to callers and put on labels (+ becomes _).');

export const candidateNameSchema = z
  .string()
  .regex(
    /^[a-z](?:[a-z0-9-]*[a-z0-9])?$/,
    'lower-case letters, digits and -, starting with a letter and ending with a letter or digit; rename the candidate',
  )
  .max(MAX_CANDIDATE_CHARACTERS, `at most ${MAX_CANDIDATE_CHARACTERS} characters; shorten it`)
  .refine((name) => !name.includes('--'), {
    error: 'without -- (it separates model and candidate in object names); use one -',
  })
  .refine((name) => name !== STABLE, {
    error: `a word other than ${STABLE} (that arm is the definition itself); rename the candidate`,
  })
  .describe('Names the arm. Default: the slug of its version.');

/** The name of a model in Kubernetes: `deep_tcm_diagnosis` → `deep-tcm-diagnosis`. */
export function slugOf(id: string): string {
  return id.replaceAll('_', '-');
}

/** A version as a label value: `v1.0+gpu` → `v1.0_gpu`. */
export function versionLabel(version: string): string {
  return version.replaceAll('+', '_');
}

/** The default name of a candidate: `v3.0.2` → `v3-0-2`; a leading digit gets a `v`. */
export function candidateNameOf(version: string): string {
  const slug = version
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^(?=[0-9])/, 'v')
    .slice(0, MAX_CANDIDATE_CHARACTERS);
  return slug.replace(/-+$/, '');
}

/** The name of an arm's objects: `<slug>` for stable, `<slug>--<candidate>` otherwise. */
export function armObjectName(id: string, arm: string): string {
  return arm === STABLE ? slugOf(id) : `${slugOf(id)}--${arm}`;
}
