import type { Arm, ServerKind } from '../../../lib/spec';
import { armPath, canonical, fault, SERVERS } from '../../../lib/spec';
import type { PolicyRule, Subject, Violation } from './context';
import { fieldOf } from './context';
import { envTrouble } from './env-names';
import type { Wrong } from './grants';

// Rules against code from outside the image and the artifact: entry points, arguments, classes
// imported by name, and variables that are read before the program starts.

function violation([path, got, allowed, fix]: Wrong): Violation {
  const id = JSON.stringify(canonical([fieldOf(path), got]));
  return { id, fault: fault(path, got, allowed, fix) };
}

const UNSPOKEN = 'absent in a definition by REST, whatever the key';
const FIX = 'put it in Git, or build it into the image';

const command: PolicyRule = ({ spec: { command: given = [] } }) =>
  given.length === 0 ? [] : [violation(['command', given, UNSPOKEN, FIX])];

/** `--name value` as `--name=value`, so that one rule covers both. */
function joined(args: readonly string[]): readonly string[] {
  const all: string[] = [];
  for (const arg of args) {
    const last = all.at(-1) ?? '';
    if (/^--[a-z][a-z0-9_-]*$/.test(last) && !arg.startsWith('-'))
      all.splice(-1, 1, `${last}=${arg}`);
    else all.push(arg);
  }
  return all;
}

/** Arguments that REST may give to a server; none for an own image. */
function argumentsOf(kind: ServerKind | undefined): ReadonlyMap<string, RegExp> {
  return kind === undefined || kind === 'custom' ? new Map() : SERVERS[kind].restArgs;
}

function isKnown(known: ReadonlyMap<string, RegExp>, arg: string): boolean {
  const [, name = '', value = ''] = /^--([a-z][a-z0-9_-]*)(?:=(.*))?$/s.exec(arg) ?? [];
  return known.get(name)?.test(value) === true;
}

/** The server kind of an image, when the image is known to be of that kind. */
function kindOf({ image, server }: Arm, { environment }: Subject): ServerKind | undefined {
  const trusted: readonly string[] = Object.values(environment.images);
  const named = image ?? server.image;
  return named === undefined || trusted.includes(named) ? server.kind : undefined;
}

const args: PolicyRule = (subject) => {
  const { args: given = [], arms } = subject.spec;
  return arms
    .map((arm) => argumentsOf(kindOf(arm, subject)))
    .filter((known) => !joined(given).every((arg) => isKnown(known, arg)))
    .map((known) => {
      const names = [...known.keys()].map((name) => `--${name}`);
      const allowed = names.length === 0 ? UNSPOKEN : `of ${names.join(', ')}`;
      return violation(['args', given, allowed, FIX]);
    });
};

/** Runtimes of MLServer's own image; it would import any class that is named. */
const MLSERVER_RUNTIMES: ReadonlySet<string> = new Set([
  'mlserver_sklearn.SKLearnModel',
  'mlserver_xgboost.XGBoostModel',
  'mlserver_lightgbm.LightGBMModel',
  'mlserver_catboost.CatboostModel',
  'mlserver_mlflow.MLflowRuntime',
  'mlserver_huggingface.HuggingFaceRuntime',
]);

const implementation: PolicyRule = ({ spec }) =>
  spec.arms.flatMap((arm) => {
    const { server } = arm;
    if (server.kind !== 'mlserver' || server.implementation === undefined) return [];
    if (MLSERVER_RUNTIMES.has(server.implementation)) return [];
    const allowed = `one of ${[...MLSERVER_RUNTIMES].join(', ')}`;
    return [
      violation([armPath(spec, arm, 'server.implementation'), server.implementation, allowed, FIX]),
    ];
  });

const variables: PolicyRule = ({ spec }) =>
  spec.arms.flatMap((arm) =>
    Object.entries(arm.env).flatMap(([name, value]) => {
      const allowed = envTrouble(name);
      if (allowed === undefined) return [];
      return [violation([armPath(spec, arm, `env.${name}`), value, allowed, FIX])];
    }),
  );

export const CODE_RULES: readonly PolicyRule[] = [command, args, implementation, variables];
