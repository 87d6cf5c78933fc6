#!/usr/bin/env bash
# The end-to-end run on a real cluster (scripts/with-cluster.sh real scripts/test-cluster.sh): makes the
# image, brings it to the nodes, and runs test/e2e/cluster, or what the configuration of jest that E2E_CONFIG
# names has. Arguments are jest's. The image of a cluster that is neither ours nor kind's nor minikube's has
# to be there already: CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

archive=build/image.tar
if [[ ! -e $archive || -n $(find Dockerfile cli lib package-lock.json runtime scripts/build.mjs scripts/image -newer "$archive" -print -quit) ]]; then
  scripts/image.sh --archive "$archive" || [[ $? == 3 ]]
fi

# 3: there is no way to bring it, so the nodes must have it or pull it.
code=3
if [[ -e $archive ]]; then
  code=0
  scripts/bring-image.sh "$archive" || code=$?
fi
case $code in
  0) ;;
  3) scripts/check-nodes.sh "$(node -p 'const { name, version } = require("./package.json"); `${name.slice(1)}:${version}`')" ;;
  *) exit "$code" ;;
esac
if [[ -n ${OWN_CLUSTER:-} ]]; then
  # An image of nobody in particular: without a USER it wants root.
  empty=$(mktemp -d)
  E2E_ROOT_IMAGE=$("$OWN_CLUSTER" image rooted:1 "$empty" -- /nothing)
  export E2E_ROOT_IMAGE
  rm -r "$empty"
fi

config=${E2E_CONFIG:-test/jest/cluster.config.js}
if [[ $# -gt 0 ]]; then exec npx jest --config "$config" "$@"; fi
# These are alone: two count requests and must not count how busy the machine is, one stops the API server
# that all need.
failed=0
# What waits for a cluster can be late on a machine that others use, too: a suite that failed runs once
# more, whole, and that is said. One that fails twice has failed.
suites() {
  npx jest --config "$config" "$@" && return
  echo "── again, the suites that failed"
  npx jest --config "$config" --onlyFailures --runInBand "$@"
}
suites --testPathIgnorePatterns '/node_modules/' '/(fire|outage|rotation)\.e2e' || failed=1
suites --runInBand '/(fire|outage|rotation)\.e2e' || failed=1
exit $failed
