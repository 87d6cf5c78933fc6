#!/usr/bin/env bash
# Checks everything that we render with tools of others: kubeconform (strict, against the schemas of each
# version of Kubernetes that we render for), kube-score and checkov. What one of them finds and
# config/manifest-waivers.yaml does not waive fails, and so does a waiver for nothing.
# The tools are installed into build/tools, once; one that cannot be installed is named and left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KUBECONFORM=v0.8.0
KUBE_SCORE=v1.20.0
CHECKOV=3.3.30
# It carries the schemas of all versions.
KUBERNETES_VALIDATE=1.37.0

tools=$PWD/build/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$tools"

# Runs an installer unless it has run for this version; its own words only when it fails.
install() { # install NAME VERSION COMMAND…
  local name=$1 version=$2 log=$work/install.log
  shift 2
  [[ $(cat "$tools/$name.version" 2>/dev/null) == "$version" ]] && return
  echo "installing $name $version…" >&2
  if nice bash -euo pipefail -c '"$@"' - "$@" >"$log" 2>&1; then
    echo "$version" >"$tools/$name.version"
  else
    tail -n 5 "$log" >&2
    echo "SKIPPED $name: it cannot be installed here" >&2
    return 1
  fi
}

go_tool() { GOBIN=$tools/bin go install "$1"; } # go_tool MODULE@VERSION
checkov_tool() {
  rm -rf "$tools/checkov"
  python3 -m venv "$tools/checkov" && "$tools/checkov/bin/pip" install --quiet "checkov==$CHECKOV"
}
# Its files name each other by paths of a web server; here they lie beside each other.
schemas() {
  rm -rf "$tools/schemas"
  python3 -m pip install --quiet --no-deps --target "$tools/schemas" "kubernetes-validate==$KUBERNETES_VALIDATE"
  find "$tools/schemas" -path '*-strict/*' -name '*.json' -exec \
    sed -i -e 's|"/api/_definitions.json#|"_definitions.json#|g' -e 's|"\$id": "[^"]*"|"$comment": ""|' {} +
}
export -f go_tool checkov_tool schemas
export tools CHECKOV KUBERNETES_VALIDATE

reports=()
rendered=$work/rendered
npx tsx scripts/rendered.ts "$rendered"

if install kubeconform "$KUBECONFORM" go_tool "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM" &&
  install schemas "$KUBERNETES_VALIDATE" schemas; then
  for folder in "$rendered"/*; do
    version=$(basename "$folder")
    against=$version
    # What is committed says 1.30 where it says nothing.
    [[ $version != default ]] || against=1.30
    report=$work/kubeconform-$version.json
    "$tools/bin/kubeconform" -strict -output json -kubernetes-version "$against.0" \
      -schema-location "$tools/schemas/kubernetes_validate/kubernetes-json-schema/v$against.0-local-strict/{{.ResourceKind}}{{.KindSuffix}}.json" \
      "$folder" >"$report" || [[ -s $report ]]
    reports+=("kubeconform=$report")
  done
fi

# File by file: what has the same name in two goldens is not the same object.
if install kube-score "$KUBE_SCORE" go_tool "github.com/zegl/kube-score/cmd/kube-score@$KUBE_SCORE"; then
  for file in "$rendered"/default/*; do
    report=$work/kube-score-$(basename "$file").json
    "$tools/bin/kube-score" score --output-format json "$file" >"$report" || [[ -s $report ]]
    reports+=("kube-score=$report")
  done
fi

if install checkov "$CHECKOV" checkov_tool; then
  report=$work/checkov.json
  # It would ask a service for guidelines.
  "$tools/checkov/bin/checkov" --framework kubernetes --skip-download --compact --soft-fail --output json \
    --directory "$rendered/default" >"$report"
  reports+=("checkov=$report")
fi

[[ ${#reports[@]} != 0 ]] || { echo "no tool could be installed: nothing was checked" >&2; exit 1; }
npx tsx scripts/findings.ts "${reports[@]}"
