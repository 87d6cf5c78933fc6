#!/usr/bin/env bash
# The end-to-end run on a real cluster (scripts/with-cluster.sh real scripts/test-cluster.sh): makes the
# image, brings it to the nodes, and runs test/e2e/cluster. Arguments are jest's. The image of a cluster
# that is neither ours nor kind's nor minikube's has to be there already: CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

archive=build/image.tar
[[ ! -e build/bin.cjs || -n $(find cli lib runtime -newer build/bin.cjs -print -quit) ]] && node scripts/build.mjs bin
[[ -e $archive && $archive -nt build/bin.cjs ]] || npx tsx scripts/image.ts --oci "$archive"

bring() {
  local node context empty
  if [[ -n ${OWN_CLUSTER:-} ]]; then
    for node in "$CLUSTER_DIR"/pid/node-*; do
      "$OWN_CLUSTER" enter "${node##*/}" ctr -n k8s.io images import "$PWD/$archive" >/dev/null
    done
    # An image of nobody in particular: without a USER it wants root.
    empty=$(mktemp -d)
    E2E_ROOT_IMAGE=$("$OWN_CLUSTER" image rooted:1 "$empty" -- /nothing)
    export E2E_ROOT_IMAGE
    rm -r "$empty"
    return
  fi
  context=$(kubectl config current-context)
  case $context in
    kind-*) kind load image-archive "$archive" --name "${context#kind-}" ;;
    minikube*) minikube image load "$archive" --profile "$context" ;;
    *) echo "the nodes of $context must have the image of $archive already" >&2 ;;
  esac
}
bring

config=jest.cluster.config.js
failed=0
npx jest --config "$config" --testPathIgnorePatterns '/node_modules/' '/outage\.e2e' -- "$@" || failed=1
# Alone: it stops the API server that the others need.
[[ $# -gt 0 ]] || npx jest --config "$config" outage || failed=1
exit $failed
