import { isMap, LineCounter, parseDocument } from 'yaml';
import { configSchema } from '../../../lib/config';
import {
  asWritten,
  checked,
  DefinitionError,
  formatFault,
  JsonTextError,
  readJsonText,
} from '../../../lib/spec';
import type { Located } from '../../../lib/synth/text';
import { parseYamlText } from '../../../lib/synth/text';
import type { Config } from './derive';
import { derived } from './derive';
import { entryOf } from '../../../lib/spec/entry';

/** Environment variables that override the file: `AI_MODEL_SERVICE__SERVER__PORT=9000`. */
export const ENV_PREFIX = 'AI_MODEL_SERVICE__';

/** The short name of `AI_MODEL_SERVICE__KUBERNETES__NAMESPACE`. */
export const NAMESPACE_VARIABLE = 'KUBERNETES_NAMESPACE';

/** A configuration that cannot be used; the message names variable, or file and line, and key for every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Plain = Record<string, unknown>;

/** `"8080"` → 8080, `"[1]"` → [1]; what is not JSON is text. @throws ConfigError */
function envValue(name: string, text: string): unknown {
  try {
    return readJsonText(text).value;
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    if (error.path === '') return text;
    throw new ConfigError(`${name}: ${formatFault(error.fault)}`);
  }
}

function override(tree: Plain, path: readonly string[], value: unknown): Plain {
  const [key = '', ...rest] = path;
  if (rest.length === 0) return { ...tree, [key]: value };
  const given = entryOf(tree, key);
  const inner = typeof given === 'object' && given !== null ? (given as Plain) : {};
  return { ...tree, [key]: override(inner, rest, value) };
}

/** Lays KUBERNETES_NAMESPACE and then `AI_MODEL_SERVICE__SECTION__KEY` over the file. */
export function withEnvironment(tree: Plain, env: NodeJS.ProcessEnv): Plain {
  const namespace = env[NAMESPACE_VARIABLE];
  const told = namespace ? override(tree, ['kubernetes', 'namespace'], namespace) : tree;
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith(ENV_PREFIX) && value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .reduce((all, [name, value]) => {
      const path = name.slice(ENV_PREFIX.length).toLowerCase().split('__');
      return override(all, path, envValue(name, value ?? ''));
    }, told);
}

function lineOf(text: string, path: string): number | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const parts = path.split(/[.[\]]+/).filter((part) => part !== '');
  for (let length = parts.length; length > 0; length -= 1) {
    const owner =
      length === 1 ? document.contents : document.getIn(parts.slice(0, length - 1), true);
    const pair = isMap(owner)
      ? owner.items.find(({ key }) => String(key) === parts[length - 1])
      : undefined;
    const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range;
    if (range !== undefined) return lines.linePos(range[0]).line;
  }
  return undefined;
}

/** The variable that gave what a fault is about, or a part of it. */
function variableOf(env: NodeJS.ProcessEnv, path: string): string | undefined {
  const parts = path.split(/[.[\]]+/).filter((part) => part !== '');
  for (let length = parts.length; length > 0; length -= 1) {
    const name = ENV_PREFIX + parts.slice(0, length).join('__').toUpperCase();
    if (entryOf(env, name) !== undefined) return name;
  }
  return path === 'kubernetes.namespace' && env[NAMESPACE_VARIABLE]
    ? NAMESPACE_VARIABLE
    : undefined;
}

type Written = Pick<Located, 'sourceOf'>;

const NOTHING = { value: {}, sourceOf: () => undefined };

/** @throws ConfigError */
function readYaml(text: string, file: string): Written & { readonly tree: Plain } {
  const { value: tree, sourceOf } = located(text, file) ?? NOTHING;
  if (typeof tree === 'object' && tree !== null && !Array.isArray(tree)) {
    // A section of which everything is commented out is null in YAML.
    const sections = Object.entries(tree).map(([key, value]) => [key, value ?? {}] as const);
    return { tree: Object.fromEntries(sections), sourceOf };
  }
  throw new ConfigError(
    `${file}: must be sections such as "server:"; see config/config.example.yaml`,
  );
}

function located(text: string, file: string): Located | undefined {
  try {
    return parseYamlText(text, file);
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    const lines = error.faults.map((found) => `${file}: line ${found.line}: ${formatFault(found)}`);
    throw new ConfigError(lines.join('\n'));
  }
}

/**
 * Parses a configuration once: the text of the file (YAML) with the environment laid over it.
 * @throws ConfigError
 */
export function parseConfig(
  text: string,
  env: NodeJS.ProcessEnv = {},
  file = 'config.yaml',
): Config {
  const { tree: own, sourceOf } = readYaml(text, file);
  const tree = withEnvironment(own, env);
  try {
    return derived(checked(configSchema, tree, 'wire'), tree);
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    const lines = error.faults.map((found) => {
      const line = lineOf(text, found.path);
      const place = line === undefined ? file : `${file}:${line}`;
      const variable = variableOf(env, found.path);
      const source = variable === undefined ? sourceOf(found.path) : entryOf(env, variable);
      return formatFault(asWritten(found, source), variable ?? place);
    });
    throw new ConfigError(lines.join('\n'));
  }
}
