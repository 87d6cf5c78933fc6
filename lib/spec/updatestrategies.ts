/** How an arm gets new pods: one more first, or one fewer first. */
export const UPDATE_STRATEGIES = ['surge', 'replace'] as const;
export type UpdateStrategy = (typeof UPDATE_STRATEGIES)[number];
