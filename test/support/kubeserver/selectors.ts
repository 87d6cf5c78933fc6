import type { KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import { isObject } from './fields';

export type Matches = (object: KubeObject) => boolean;

type Labels = Readonly<Record<string, string>>;

const SET = /^(\S+) (in|notin) \(([^)]*)\)$/;
const EQUAL = /^([^!=]+)(==?|!=)(.*)$/;

function requirement(text: string): (labels: Labels) => boolean {
  const [, key = '', operator, values = ''] = SET.exec(text) ?? EQUAL.exec(text) ?? [];
  const listed = new Set(values.split(',').map((one) => one.trim()));
  if (operator === undefined) {
    const absent = text.startsWith('!');
    return (labels) => (absent ? !(text.slice(1) in labels) : text in labels);
  }
  const isNegative = operator === 'notin' || operator === '!=';
  return (labels) => listed.has(labels[key] ?? '\0') !== isNegative;
}

/** `a=b,c in (d,e),!f`, as the API reads it. */
export function labelSelector(text: string): Matches {
  const parts = text.split(/,(?![^(]*\))/).filter((part) => part !== '');
  const all = parts.map((part) => requirement(part.trim()));
  return ({ metadata }) => all.every((holds) => holds(metadata.labels ?? {}));
}

function at(object: unknown, path: readonly string[]): unknown {
  return path.reduce((value, name) => (isObject(value) ? value[name] : undefined), object);
}

/** `involvedObject.uid=u`; equality only. */
export function fieldSelector(text: string): Matches {
  const parts = text.split(',').filter((part) => part !== '');
  const all = parts.map((part) => part.split('=').filter((one) => one !== ''));
  return (object) => all.every(([path = '', value]) => at(object, path.split('.')) === value);
}
