#!/usr/bin/env bash
# Model servers made by others (npm run test:e2e:long): as processes behind the built router, then in pods
# of a real cluster, where there is one. Arguments are jest's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
npx jest --config test/jest/long.config.js --passWithNoTests "$@" || failed=1
if [[ -n ${KUBECONFIG:-} || (-x ${CLUSTER_MAKER:-../shared/cluster/cluster} && $(id -u) == 0) ]]; then
  E2E_CONFIG=test/jest/pods.config.js scripts/with-cluster.sh real scripts/test-cluster.sh --passWithNoTests "$@" ||
    failed=1
else
  echo "SKIPPED MLServer and Triton in pods: no cluster; set KUBECONFIG"
fi
exit $failed
