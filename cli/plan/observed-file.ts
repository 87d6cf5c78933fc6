import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Observed } from '../../lib/plan/observed';
import { observedSchema } from '../../lib/plan/observed';
import { CommandError } from '../exit';
import type { Io } from '../io';

/**
 * Reads `--observed`: what `GET /api/v1/observed` answered.
 * @throws CommandError when it is not that
 */
export function readObserved(file: string, { cwd }: Io): Observed {
  const refuse = (words: string): never => {
    throw new CommandError(`--observed ${file}: ${words}; save the answer of GET /api/v1/observed`);
  };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(resolve(cwd, file), 'utf8'));
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  const { data, error } = observedSchema.safeParse(value);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  return refuse(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an observation'}`);
}
