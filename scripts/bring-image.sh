#!/usr/bin/env bash
# Brings an image to the nodes of the cluster that KUBECONFIG names, where this can be done without a
# registry: those of scripts/with-cluster.sh, kind's and minikube's.
#   scripts/bring-image.sh ARCHIVE      ends with 3 where it cannot
set -euo pipefail

archive=$(readlink -f "$1")
if [[ -n ${OWN_CLUSTER:-} ]]; then
  for node in "$CLUSTER_DIR"/pid/node-*; do
    "$OWN_CLUSTER" enter "${node##*/}" ctr -n k8s.io images import "$archive" >/dev/null
  done
  exit
fi
context=$(kubectl config current-context)
case $context in
  kind-*) kind load image-archive "$archive" --name "${context#kind-}" ;;
  minikube*) minikube image load "$archive" --profile "$context" ;;
  *)
    echo "the nodes of $context must have the image of $archive already" >&2
    exit 3
    ;;
esac
