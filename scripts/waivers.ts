// What tools say of our manifests, less what is waived with a reason. Pure; the command that reads their
// reports is findings.ts.
import { z } from 'zod';

/** One finding of a tool about one object. */
export interface Finding {
  readonly tool: string;
  readonly check: string;
  /** `Kind/name` */
  readonly object: string;
  readonly file: string;
  readonly says: string;
}

const waiver = z.strictObject({
  /** `tool check`, or `tool check: what it says` where one check says several things. */
  checks: z.array(z.string().regex(/^(?:kubeconform|kube-score|checkov) \S+(?:: .+)?$/)).min(1),
  /** `Kind/name`; `*` stands for any text. */
  objects: z.array(z.string().regex(/^[A-Za-z]+\/\S+$/)).min(1),
  reason: z.string().min(40),
});

export const waiversSchema = z.array(waiver);
export type Waiver = z.output<typeof waiver>;

export interface Judgement {
  /** Not waived. */
  readonly open: readonly Finding[];
  readonly waived: number;
  /** Checks and objects of waivers that nothing was found for. */
  readonly unused: readonly string[];
}

function matchesObject(pattern: string, { object }: Finding): boolean {
  const parts = pattern.split('*').map((text) => text.replace(/\W/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`).test(object);
}

function matchesCheck(pattern: string, { tool, check, says }: Finding): boolean {
  return [`${tool} ${check}`, `${tool} ${check}: ${says}`].includes(pattern);
}

const covers = ({ checks, objects }: Waiver, finding: Finding): boolean =>
  checks.some((one) => matchesCheck(one, finding)) &&
  objects.some((one) => matchesObject(one, finding));

/** Tools that did not run found nothing, so what only they could have found is not unused. */
function unusedOf(one: Waiver, findings: readonly Finding[], ran: readonly string[]) {
  const covered = findings.filter((finding) => covers(one, finding));
  const judged = one.checks.filter((check) => ran.includes(check.split(' ')[0] ?? ''));
  const checks = judged.filter((check) => !covered.some((each) => matchesCheck(check, each)));
  const objects = one.objects.filter(
    (object) => !covered.some((each) => matchesObject(object, each)),
  );
  return [...checks, ...(judged.length === one.checks.length ? objects : [])];
}

export function judge(
  findings: readonly Finding[],
  waivers: readonly Waiver[],
  ran: readonly string[],
): Judgement {
  const open = findings.filter((finding) => !waivers.some((one) => covers(one, finding)));
  return {
    open,
    waived: findings.length - open.length,
    unused: waivers.flatMap((one) =>
      unusedOf(one, findings, ran).map((text) => `${text} (${one.reason})`),
    ),
  };
}
