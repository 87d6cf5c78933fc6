import { App, Yaml } from 'cdk8s';
import type { IConstruct } from 'constructs';
import { yamlOf } from '../objects/yaml';

/**
 * Runs something that writes by cdk8s' `Yaml` with our writer in its place. cdk8s writes some texts
 * (U+2028, DEL, NEL, `0o22`, a leading tab) so that kubectl cannot read them, or reads something
 * else; all other bytes are the same.
 */
export function writingReadably<T>(work: () => T): T {
  const { stringify } = Yaml;
  Yaml.stringify = (...docs: readonly unknown[]) =>
    docs.map((one) => (isObject(one) ? yamlOf([one]) : stringify.call(Yaml, one))).join('---\n');
  try {
    return work();
  } finally {
    Yaml.stringify = stringify;
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const READABLE = new WeakSet<App>();

/** Makes the app of a construct write manifests that kubectl reads; other apps stay unchanged. */
export function writeReadably(construct: IConstruct): void {
  const { root } = construct.node;
  if (!(root instanceof App) || READABLE.has(root)) return;
  READABLE.add(root);
  const [synth, synthYaml] = [root.synth.bind(root), root.synthYaml.bind(root)];
  root.synth = () => writingReadably(synth);
  root.synthYaml = () => writingReadably(synthYaml);
}
