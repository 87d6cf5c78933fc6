// Plain texts that some reader of Kubernetes manifests takes for another type, so that they must be
// quoted. The readers are Kubernetes' own (sigs.k8s.io/yaml, which is go-yaml v2), PyYAML and
// `yaml`.

/** The types of YAML 1.1: null, booleans, binary, octal and base-60 numbers, dates, `<<` and `=`. */
const YAML_1_1: readonly RegExp[] = [
  /^(?:~|[Nn]ull|NULL)?$/,
  /^(?:Y|y|[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON|N|n|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/,
  /^(?:<<|=)$/,
  /^[-+]?0b[0-1_]+$/,
  /^[-+]?0x[0-9a-fA-F_]+$/,
  /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])*$/,
  /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$/,
  /^(?:[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN)$/,
  /^[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?[eE][-+]?[0-9]+$/,
  /^[-+]?(?:[0-9][0-9_]*)?\.[0-9_]*$/,
  /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:t|T|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:[ \t]*(?:Z|[-+][012]?[0-9](?::[0-9]{2})?))?)?$/,
];

/**
 * Further numbers of go-yaml: it removes `_` and calls Go's `ParseInt(…, 0, 64)`, which reads
 * `0o22`, `0X1F` and `0B1` (resolve.go).
 */
const GO_NUMBER = /^[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][-+]?[01]+)$/;
const GO_FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/** Only texts with these beginnings can be any of them. */
const START = /^(?:$|[-+.0-9~eEYyTtNnOoFf_<=])/;

/** Whether a reader takes this plain text for a number, a boolean, null, a date, `<<` or `=`. */
export function readsAsOther(text: string): boolean {
  if (!START.test(text)) return false;
  if (YAML_1_1.some((type) => type.test(text))) return true;
  const bare = text.replaceAll('_', '');
  return GO_NUMBER.test(bare) || GO_FLOAT.test(bare);
}
