#!/usr/bin/env bash
# Tests alert rules and dashboards with promtool: the faults of test/monitoring/faults.ts fire the
# alerts they must and no other, and every query of every dashboard parses. Go installs promtool into
# build/tools, once; where it cannot be installed this is said, and nothing is tested.
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
npx tsx scripts/monitoring.ts "$work"
"$promtool" check rules --lint-fatal "$work/rules.yaml" "$work/dashboards.yaml" test/golden/monitoring/servers.yaml
"$promtool" test rules "$work/rules.test.yaml"
