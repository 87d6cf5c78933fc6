#!/usr/bin/env bash
# Can every node of the cluster that KUBECONFIG names start a container of our image? Ends with 1 within a
# minute where one cannot, with a line for each such node: without the image every suite would wait in vain.
#   scripts/check-nodes.sh IMAGE
set -euo pipefail

image=$1
limit_s=50
namespace=e2e-image-$$
manifest=$(mktemp)
finish() {
  kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null
  rm -f "$manifest"
}
trap finish EXIT

cat >"$manifest" <<YAML
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: image, namespace: $namespace }
spec:
  selector: { matchLabels: { app: image } }
  template:
    metadata: { labels: { app: image } }
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      securityContext: { runAsNonRoot: true, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: image
          image: $image
          command: [sleep, '600']
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
YAML
kubectl create namespace "$namespace" >/dev/null
kubectl apply -f "$manifest" >/dev/null

# Prints NODE<tab>REASON<tab>MESSAGE of each container that waits.
waiting() {
  kubectl get pods --namespace "$namespace" -o go-template='{{range .items}}{{$node := .spec.nodeName}}
    {{- range .status.containerStatuses}}{{with .state.waiting}}
    {{- $node}}{{"\t"}}{{.reason}}{{"\t"}}{{with .message}}{{.}}{{end}}{{"\n"}}{{end}}{{end}}{{end}}'
}
deadline=$((SECONDS + limit_s))
until kubectl rollout status daemonset/image --namespace "$namespace" --timeout=2s >/dev/null 2>&1; do
  faults=$(waiting)
  if ((SECONDS >= deadline)) || grep -qvP '\tContainerCreating\t|^$' <<<"$faults"; then
    while IFS=$'\t' read -r node reason message; do
      echo "node ${node:-(none)} does not start $image: ${reason:-no container yet}${message:+ ($message)}" >&2
    done <<<"$faults"
    echo "push $image to the registry that the nodes pull from, or import build/image.tar (scripts/dev.sh image) on each node: ctr -n k8s.io images import; then run again" >&2
    exit 1
  fi
done
