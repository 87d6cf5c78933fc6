import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parse } from 'yaml';
import type { PlanSide } from '../../lib/plan/plan';
import { planOf } from '../../lib/plan/plan';
import { planJson } from '../../lib/plan/printers/json';
import { MARKER, planMarkdown } from '../../lib/plan/printers/markdown';
import { planText } from '../../lib/plan/printers/text';
import type { Plan } from '../../lib/plan/schema';
import { planJsonSchema, planSchema } from '../../lib/plan/schema';
import type { Environment, EnvironmentInput, ModelInput } from '../../lib/spec';
import { parseEnvironment, parseModel } from '../../lib/spec';

// Each case is a file `x.yaml` with the definitions before and after; beside it are the whole plan
// as text, JSON and Markdown.
const FOLDER = join(__dirname, '..', 'golden', 'plan');

interface Case {
  readonly environments?: readonly EnvironmentInput[];
  readonly before: readonly ModelInput[];
  readonly after: readonly ModelInput[];
}

function sideOf(models: readonly ModelInput[], environment: Environment): PlanSide {
  const specs = models.map((model) => parseModel(model));
  return { environment, models: new Map(specs.map((spec) => [spec.id, { spec }])), shared: [] };
}

function planIn(name: string): Plan {
  const text = readFileSync(join(FOLDER, `${name}.yaml`), 'utf8');
  const { environments = [{}], before, after } = parse(text, { merge: true }) as Case;
  const planned = environments.map((given) => {
    const environment = parseEnvironment(given);
    const sides = { before: sideOf(before, environment), after: sideOf(after, environment) };
    return { name: environment.name, ...sides };
  });
  return planOf({
    environments: planned,
    base: 'origin/main (1a2b3c4d5e6f)',
    library: '0.1.0',
    today: '2026-06-01',
  });
}

const CASES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => file.slice(0, -'.yaml'.length));

const PRINTERS = {
  txt: (plan: Plan) => planText(plan),
  json: (plan: Plan) => `${JSON.stringify(JSON.parse(planJson(plan)), null, 2)}\n`,
  md: (plan: Plan) => planMarkdown(plan, 60_000),
};

test.each(CASES)('%s: the whole plan as text, JSON and Markdown', (name) => {
  const plan = planIn(name);
  for (const [extension, print] of Object.entries(PRINTERS)) {
    const path = join(FOLDER, `${name}.${extension}`);
    const actual = print(plan);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, actual);
    expect(actual).toBe(readFileSync(path, 'utf8'));
  }
});

test.each(CASES)('%s: the JSON is what its schema says', (name) => {
  const plan = planIn(name);
  expect(planSchema.parse(JSON.parse(planJson(plan)))).toEqual(plan);
  const committed = readFileSync(join(__dirname, '../../schema/plan.schema.json'), 'utf8');
  expect(JSON.parse(committed)).toEqual(planJsonSchema());
  // A field that the schema does not name would be dropped by it.
  expect(z.json().parse(plan)).toEqual(plan);
});

test('the same plan gives the same bytes', () => {
  expect(planJson(planIn('canary'))).toBe(planJson(planIn('canary')));
});

/** Markdown without what is set as code: only there may values stand as they are. */
function outsideCode(markdown: string): string {
  return markdown.replaceAll(/^(`{3,})diff\n[\s\S]*?\n\1$/gm, '').replaceAll(/`[^`\n]*`/g, '');
}

test('no value of a definition becomes markup, a mention or the marker', () => {
  const markdown = planMarkdown(planIn('hostile'), 60_000);
  expect(markdown.startsWith(`${MARKER}\n`)).toBe(true);
  const prose = outsideCode(markdown.slice(MARKER.length));
  expect(prose).not.toMatch(/@\w|#\d|<img|<b>|https:\/\/evil|www\.evil|ai-model-service plan -->/);
  // oxlint-disable-next-line no-control-regex
  const active = /[\u001b\u202e]/;
  expect([markdown, planText(planIn('hostile'))].filter((one) => active.test(one))).toEqual([]);
});

describe('a long plan', () => {
  const many = (count: number): Plan => {
    const plan = planIn('canary');
    const [model] = plan.models;
    if (model === undefined) throw new Error('the case has a model that changes');
    const models = Array.from({ length: count }, (_, index) =>
      Object.assign({}, model, { model_id: `m${String(index).padStart(4, '0')}` }),
    );
    return { ...plan, models };
  };

  test.each([4000, 10_000, 60_000])('stays below %i bytes, and says what it leaves out', (most) => {
    const markdown = planMarkdown(many(300), most);
    expect(Buffer.byteLength(markdown)).toBeLessThanOrEqual(most);
    const shown = [...markdown.matchAll(/^### /gm)].length;
    expect(shown).toBeGreaterThan(0);
    expect(markdown).toContain(`… and ${300 - shown} more`);
    const text = planText(many(300), most);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(most);
    expect(text).toMatch(/… and \d+ more/);
    // Every fence and every fold that begins ends.
    expect(markdown.split('<details>').length).toBe(markdown.split('</details>').length);
    expect(markdown.split('\n```').length % 2).toBe(1);
  });

  test('names every model before it shows the objects of the first', () => {
    const markdown = planMarkdown(many(8), 20_000);
    expect([...markdown.matchAll(/^### /gm)]).toHaveLength(8);
    expect(markdown).not.toContain('… and');
  });
});
