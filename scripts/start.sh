#!/usr/bin/env bash
# Starts the service with config/config.yaml; installs and builds first what is missing or old. Further
# arguments go to the service: scripts/start.sh --port 9000, or --config other.yaml
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/dev.sh" start "$@"
