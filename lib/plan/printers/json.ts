import type { Plan } from '../schema';

/** One line, for pipelines; its schema is schema/plan.schema.json. */
export function planJson(plan: Plan): string {
  return `${JSON.stringify(plan)}\n`;
}
