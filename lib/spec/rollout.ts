import { z } from 'zod';

/** Shares are whole hundredths of a percent; compared as integers so that 0.1 + 0.2 is 0.3. */
export function hundredths(percent: number): number {
  return Math.round(percent * 100);
}

function isHundredth(percent: number): boolean {
  return Math.abs(percent * 100 - hundredths(percent)) < 1e-6;
}

export const shareSchema = z
  .number()
  .min(0)
  .max(100)
  .refine(isHundredth, { error: 'a multiple of 0.01; round it' });

const margin = z.number().min(0.01).max(50);

const gatesSchema = z
  .strictObject({
    failed: z
      .strictObject({
        margin: margin
          .default(1)
          .describe('Points by which the share of failed trials may differ from stable.'),
        absolute: z
          .number()
          .min(0.01)
          .max(100)
          .optional()
          .describe(
            'Percent of failed trials allowed at 100 %, where stable has no traffic to compare with. Default: the share of stable plus the margin.',
          ),
      })
      .default({ margin: 1 })
      .describe('Connection failures, broken answers, statuses from 500, timeouts.'),
    slow: z
      .strictObject({
        margin: margin
          .default(2)
          .describe('Points by which the share of slow trials may differ from stable.'),
      })
      .default({ margin: 2 })
      .describe('Trials whose first byte came later than the 95th percentile of stable.'),
  })
  .default({ failed: { margin: 1 }, slow: { margin: 2 } })
  .describe('What is compared between the candidate and stable.');

const stepsFault = (steps: readonly number[]): string | undefined => {
  if (steps.some((step, index) => index > 0 && step <= (steps[index - 1] ?? 0))) {
    return 'rising; sort the steps and remove repeated ones';
  }
  return steps.at(-1) === 100 ? undefined : 'ending with 100; add 100';
};

export const rolloutSchema = z
  .strictObject({
    steps: z
      .array(shareSchema.min(0.01))
      .min(1)
      .max(20)
      .default([1, 5, 25, 50, 100])
      .describe('Shares in percent, rising, ending with 100.'),
    minRequests: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(500)
      .describe('Closed trials of the candidate per step at least.'),
    minSeconds: z.int().min(1).max(604_800).default(60).describe('Seconds per step at least.'),
    alpha: z
      .number()
      .min(0.000_001)
      .max(0.2)
      .default(0.01)
      .describe('Highest probability of aborting a candidate that equals stable.'),
    unit: z
      .enum(['caller', 'request'])
      .default('caller')
      .describe(
        'What counts as one trial: a caller (by its cohort key), or each request. With request, the arm is drawn anew for each request.',
      ),
    strict: z
      .boolean()
      .default(false)
      .describe('Abort only on proof that the candidate is worse by more than the margin.'),
    hold: z
      .strictObject({
        at: shareSchema.min(0.01).describe('The step, in percent.'),
        seconds: z.int().min(1).max(2_592_000).describe('How long the step lasts at least.'),
      })
      .optional()
      .describe('A step that lasts longer than the others.'),
    gates: gatesSchema,
  })
  .check(({ value: { steps, hold }, issues }) => {
    const fault = stepsFault(steps);
    if (fault !== undefined) {
      issues.push({ code: 'custom', path: ['steps'], input: steps, message: fault });
    }
    if (hold !== undefined && !steps.includes(hold.at)) {
      const message = `one of the steps (${steps.join(', ')}); name one of them`;
      issues.push({ code: 'custom', path: ['hold', 'at'], input: hold.at, message });
    }
  })
  .describe('Progressive rollout by evidence.');

export type Rollout = z.output<typeof rolloutSchema>;
