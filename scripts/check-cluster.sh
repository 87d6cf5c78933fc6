#!/usr/bin/env bash
# Asks a real API server (scripts/with-cluster.sh fake scripts/check-cluster.sh) whether it would take all of
# dist/ and every golden manifest, and a Pod made from every pod template, in namespaces where pod security is
# enforced: any error or warning fails. On nodes that only say so the tests of the adapter follow; those of
# the whole product, on nodes that run pods, are scripts/test-cluster.sh. Nothing stays behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

made=()
finish() { [[ ${#made[@]} == 0 ]] || kubectl delete namespace "${made[@]}"; }
trap finish EXIT

# Makes a namespace that enforces a profile. One that exists belongs to somebody: it is not touched, and
# serves only when it enforces the profile already.
enforcing() { # enforcing NAMESPACE PROFILE
  local label=pod-security.kubernetes.io found
  if found=$(kubectl get namespace "$1" -o "jsonpath={.metadata.labels['${label//./\\.}/enforce']}" 2>/dev/null); then
    [[ $found == "$2" ]] || { echo "namespace $1 exists and does not enforce $2; use another cluster" >&2; exit 1; }
    return
  fi
  kubectl create namespace "$1"
  made+=("$1")
  kubectl label namespace "$1" "$label/enforce=$2" "$label/warn=$2"
  # Pods are refused until the namespace's default ServiceAccount exists.
  for _ in $(seq 60); do
    kubectl -n "$1" get serviceaccount default >/dev/null 2>&1 && return
    sleep 1
  done
}

dry_run() { kubectl apply --server-side --dry-run=server --warnings-as-errors "$@"; }

# All objects and all pods of some manifests, in a namespace.
check() { # check NAMESPACE FILE…
  local namespace=$1
  shift
  npx tsx scripts/manifests.ts objects "$@" --namespace "$namespace" | dry_run -f -
  npx tsx scripts/manifests.ts pods "$@" --namespace "$namespace" | dry_run -f -
}

namespace=$(grep -hoE '^  namespace: [a-z0-9-]+$' dist/*.k8s.yaml | awk '{ print $2 }' | sort -u)
[[ $(wc -l <<<"$namespace") == 1 ]] || { echo "dist/ names several namespaces: $namespace" >&2; exit 1; }
enforcing "$namespace" restricted
dry_run -f dist/
npx tsx scripts/manifests.ts pods dist | dry_run -f -

# Goldens: every server, autoscaling, caches, GPUs. Those of looser environments are checked as baseline;
# a minimum of 0 replicas needs a newer server than most.
enforcing ai-model-service-check restricted
enforcing ai-model-service-check-baseline baseline
loose=() strict=()
for file in test/golden/objects/*.k8s.yaml test/golden/constructs/*.k8s.yaml; do
  case $file in
    */baseline-* | */platform-*) loose+=("$file") ;;
    *-1-37.k8s.yaml) ;;
    *) strict+=("$file") ;;
  esac
done
check ai-model-service-check "${strict[@]}"
check ai-model-service-check-baseline "${loose[@]}"
kubectl version

# Their models have no artifact: only where nothing really runs do they become ready.
if [[ $(kubectl get nodes -o name) == node/kwok-* ]]; then
  # kwok's nodes state no disk, which our pods request.
  for node in $(kubectl get nodes -o name); do
    kubectl patch "$node" --subresource=status --type=merge \
      -p '{"status":{"capacity":{"ephemeral-storage":"1Ti"},"allocatable":{"ephemeral-storage":"1Ti"}}}'
  done
  npx jest --config test/jest/e2e.config.js 'test/e2e/(kubernetes|routers)\.e2e'
else
  echo "── nodes run pods: the tests of the adapter are left out"
fi
