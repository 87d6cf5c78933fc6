import type { Cause } from './cause';
import { quoted } from './cause';

type Found = Pick<Cause, 'cause' | 'message'>;

/** Missing parts of a container or a volume, by the messages of the kubelet. */
const RULES: readonly (readonly [RegExp, (found: readonly string[]) => Found])[] = [
  [
    /image will run as root|runAsUser breaks non-root policy/i,
    () => ({
      cause: 'image-wants-root',
      message:
        'the image runs as root, which the security of the pod forbids; build it with a numeric USER, or set run_as_user in the definition',
    }),
  ],
  [
    /non-numeric user \(([^)]*)\)/i,
    ([, user = '']) => ({
      cause: 'named-user',
      message: `the image runs as the user "${user}", and Kubernetes cannot see that this is not root; set run_as_user to its number in the definition, or build the image with a numeric USER`,
    }),
  ],
  [
    /couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+\/)?([^\s,]+)/i,
    ([, key = '', kind = '', name = '']) => missing(kind, name, `has no key ${key}`, 'add it'),
  ],
  [
    /references non-existent (secret|config) key: ?(\S+)/i,
    ([, kind = '', key = '']) =>
      missing(kind, undefined, `that a volume shows has no key ${key}`, 'add it'),
  ],
  [
    /(secret|configmap) "([^"]+)" not found/i,
    ([, kind = '', name = '']) =>
      missing(kind, name, 'does not exist', 'create it in the model’s namespace'),
  ],
];

function missing(kind: string, name: string | undefined, what: string, advice: string): Found {
  const secret = /secret/i.test(kind);
  const named = name === undefined ? '' : ` ${name}`;
  return {
    cause: secret ? 'missing-secret' : 'missing-configmap',
    message: `${secret ? 'Secret' : 'ConfigMap'}${named} ${what}; ${advice}`,
  };
}

/** Undefined when no rule matches the message. */
export function tryConfigCause(words: string): Found | undefined {
  for (const [pattern, explain] of RULES) {
    const match = pattern.exec(words);
    if (match !== null) return explain(match);
  }
  return undefined;
}

/** The reason why a container cannot be created from its configuration. */
export function configCause(words: string, since: number): Cause {
  const found = tryConfigCause(words) ?? {
    cause: 'container-config',
    message: `the container cannot be created: ${quoted(words)}; correct the definition`,
  };
  return { ...found, since, failed: true };
}
