#!/usr/bin/env bash
# Tests the alert rules with promtool (test/alerts/rules.test.yaml). Go installs it into build/tools, once;
# where it cannot be installed this is said, and nothing is tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PROMETHEUS=v0.316.0
promtool=$PWD/build/tools/bin/promtool
if [[ ! -x $promtool ]]; then
  echo "installing promtool $PROMETHEUS…" >&2
  # Without service discovery it is half the work; nine minutes leave room for the rest of a run.
  GOBIN=$PWD/build/tools/bin timeout 9m nice go install -tags remove_all_sd "github.com/prometheus/prometheus/cmd/promtool@$PROMETHEUS" ||
    { echo "SKIPPED: promtool cannot be installed here" >&2; exit 0; }
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npx tsx scripts/alert-rules.ts >"$work/rules.yaml"
cp test/alerts/rules.test.yaml "$work/"
"$promtool" check rules "$work/rules.yaml"
"$promtool" test rules "$work/rules.test.yaml"
