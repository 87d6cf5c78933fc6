#!/usr/bin/env bash
# Runs a command with a cluster: the one KUBECONFIG names, else one of its own where one can be made.
#   scripts/with-cluster.sh fake COMMAND…   an API server with all controllers, and nodes that only say so
#   scripts/with-cluster.sh real COMMAND…   two nodes that run pods; making them needs root
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=$1
shift
[[ -z ${KUBECONFIG:-} ]] || exec "$@"

maker=${CLUSTER_MAKER:-../shared/cluster/cluster}
[[ -x $maker ]] || { echo "set KUBECONFIG to a cluster (kind, minikube, …)" >&2; exit 1; }
[[ $kind == fake || $(id -u) == 0 ]] || { echo "nodes that run pods need root; or set KUBECONFIG" >&2; exit 1; }

# All of its own: a cluster that someone else runs here is left alone.
folder=$(mktemp -d)
export CLUSTER_DIR=${CLUSTER_DIR:-$folder/cluster} CLUSTER_PORT=${CLUSTER_PORT:-27443}
export CLUSTER_NET=${CLUSTER_NET:-172.29.0} CLUSTER_BRIDGE=${CLUSTER_BRIDGE:-rc-br7}
export CLUSTER_PODS=${CLUSTER_PODS:-10.250} CLUSTER_SERVICES=${CLUSTER_SERVICES:-10.102}
OWN_CLUSTER=$(readlink -f "$maker")
export OWN_CLUSTER
finish() {
  # A device may be gone just before it is taken down, which ends the first try halfway.
  "$OWN_CLUSTER" down || "$OWN_CLUSTER" down
  rm -rf "$folder"
}
trap finish EXIT
nodes=()
if [[ $kind == real ]]; then
  nodes=(--nodes 2)
  # From 1.37 on the default. Set and empty they are off, as .ci/run has them for zero.e2e.ts.
  export CLUSTER_APISERVER_FLAGS=${CLUSTER_APISERVER_FLAGS---feature-gates=HPAScaleToZero=true}
  export CLUSTER_CONTROLLER_FLAGS=${CLUSTER_CONTROLLER_FLAGS---feature-gates=HPAScaleToZero=true}
fi
eval "$("$OWN_CLUSTER" up "${nodes[@]}")"
"$@"
