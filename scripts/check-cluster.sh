#!/usr/bin/env bash
# Asks a real API server whether it would take all of dist/, and a Pod made from every pod template, in a
# namespace where restricted pod security is enforced. Any error or warning fails. Nothing stays behind.
# Uses KUBECONFIG when it is set, else a cluster of its own where one can be made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

maker=../shared/cluster/cluster
if [[ -z ${KUBECONFIG:-} ]]; then
  [[ -x $maker ]] || { echo "set KUBECONFIG to a cluster (kind, minikube, …)" >&2; exit 1; }
  # Its own folder and port: a cluster that someone else runs here is left alone.
  export CLUSTER_DIR=${CLUSTER_DIR:-$(mktemp -d)/cluster} CLUSTER_PORT=${CLUSTER_PORT:-27443}
  trap '"$maker" down' EXIT
  eval "$("$maker" up)"
fi

namespace=$(grep -hoE '^  namespace: [a-z0-9-]+$' dist/*.k8s.yaml | awk '{ print $2 }' | sort -u)
[[ $(wc -l <<<"$namespace") == 1 ]] || { echo "dist/ names several namespaces: $namespace" >&2; exit 1; }
if ! kubectl get namespace "$namespace" >/dev/null 2>&1; then
  kubectl create namespace "$namespace"
  [[ -n ${CLUSTER_DIR:-} ]] || trap 'kubectl delete namespace "$namespace"' EXIT
fi
kubectl label --overwrite namespace "$namespace" \
  pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted
# Pods are refused until the namespace's default ServiceAccount exists.
for _ in $(seq 60); do
  kubectl -n "$namespace" get serviceaccount default >/dev/null 2>&1 && break
  sleep 1
done

dry_run() { kubectl apply --server-side --dry-run=server --warnings-as-errors "$@"; }
dry_run -f dist/
npx tsx scripts/pods.ts | dry_run -f -
kubectl version
