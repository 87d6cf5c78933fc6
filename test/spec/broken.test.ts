import { parse } from 'yaml';
import { DefinitionError, parseModel } from '../../lib/spec';
import { goldens } from '../support/golden';

function complaint(text: string): string {
  const input: unknown = text.includes('__proto__') ? protoSafe(text) : (parse(text) as unknown);
  try {
    parseModel(input, { file: 'models/iris.yaml' });
  } catch (error) {
    if (error instanceof DefinitionError) return error.message;
    throw error;
  }
  return 'accepted';
}

/** YAML drops a key named `__proto__`; JSON keeps it, and REST callers send JSON. */
function protoSafe(text: string): unknown {
  const json = JSON.stringify(parse(text.replaceAll('__proto__', 'PROTO')));
  return JSON.parse(json.replaceAll('PROTO', '__proto__')) as unknown;
}

describe('a broken definition is refused with a sentence and its correction', () => {
  const all = goldens('broken');

  test('in at least 60 cases', () => {
    expect(all.length).toBeGreaterThanOrEqual(60);
  });

  test.each(all.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    golden.check(complaint(golden.input));
  });
});
