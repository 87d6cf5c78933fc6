#!/usr/bin/env bash
# A newcomer's first hour with the last commit, cloned into an empty folder: the README's first command,
# the request of the README by each of four protocols, a second start, two edits that are saved by rename,
# a fault and its correction, then the packed library in a project of its own.
# Fails when the first start takes 90 s or more or a later one 3 s or more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
folder=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

git clone --quiet "$root" "$folder/clone"
cd "$folder/clone"

# Sets url once the service says what is running, and took, in milliseconds.
start() { # start LIMIT_SECONDS
  local from
  from=$(date +%s%3N)
  scripts/dev.sh dev --port 0 >"$folder/log" 2>&1 &
  server=$!
  until grep -q '^API: ' "$folder/log"; do
    kill -0 "$server" 2>/dev/null || { cat "$folder/log"; return 1; }
    took=$(($(date +%s%3N) - from))
    ((took < $1 * 1000)) || { cat "$folder/log"; echo "not up after $1 s"; return 1; }
    sleep 0.05
  done
  took=$(($(date +%s%3N) - from))
  url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$folder/log" | head -1)
}

stop() {
  kill -TERM "$server"
  wait "$server"
  server=
}

# Prints the answer and fails when it has not the pattern.
ask() { # ask PATH BODY PATTERN
  local answer
  answer=$(curl -sS --fail-with-body -H 'content-type: application/json' -d "$2" "$url$1") || { echo "$1: $answer"; return 1; }
  grep -qE "$3" <<<"$answer" || { echo "$1: $answer"; return 1; }
  echo "$1: $answer"
}

start 90
echo "first start: $took ms"
cat "$folder/log"
id=deep_tcm_diagnosis
seed='{"symptoms": ["头痛", "乏力", "食欲不振"], "patient_info": {"age": 35, "gender": "female"}}'
ask "/api/v1/models/$id/inference" "{\"input_data\": $seed}" '"syndrome": ?".+"confidence": ?0\.[0-9]+'
ask "/api/v1/models/$id/batch_inference" "{\"requests\": [{\"input_data\": $seed}]}" '"syndrome": ?"'
ask "/v1/models/$id:predict" "{\"instances\": [$seed]}" '"predictions"'
ask "/v2/models/$id/infer" '{"inputs": [
  {"name": "symptoms", "datatype": "BYTES", "shape": [1, 3], "data": ["头痛", "乏力", "食欲不振"]},
  {"name": "patient_info.age", "datatype": "FP32", "shape": [1, 1], "data": [35]},
  {"name": "patient_info.gender", "datatype": "BYTES", "shape": [1, 1], "data": ["female"]}]}' '"name": ?"syndrome"'
stop
start 3
echo "second start: $took ms"
ask "/api/v1/models/$id/inference" "{\"input_data\": $seed}" '"syndrome": ?"'
git diff --exit-code

# `sed -i` writes another file and renames it over the old one, as most editors do.
definition=models/health_assessment.yaml
revision() { curl -sS --fail-with-body "$url/api/v1/models/health_assessment/status" | grep -oE '"revision": ?[0-9]+' | grep -oE '[0-9]+'; }
replicas() { sed -i "s/max_replicas: .*/max_replicas: $1/" "$definition"; }
expect() { # expect WHAT COMMAND...
  local what=$1
  shift
  for _ in $(seq 200); do
    if "$@"; then
      echo "$what"
      return
    fi
    sleep 0.1
  done
  cat "$folder/log"
  echo "not within 20 s: $what"
  return 1
}
has_revision() { [[ $(revision) == "$1" ]]; }
logs() { grep -q "$1" "$folder/log"; }
in_dist() { grep -q "$1" dist/health_assessment.k8s.yaml; }
first=$(revision)
replicas 4
expect 'the first save by rename is a new revision' has_revision $((first + 1))
replicas 5
expect 'the second save by rename, too' has_revision $((first + 2))
expect 'the log names the file' logs "$definition changed"
expect 'the log says when the model answers' logs 'answers with its new definition.*health_assessment'
expect 'dist/ follows' in_dist 'maxReplicas: 5'
replicas many
expect 'a fault is told with file and field' logs "$definition.*max_replicas"
has_revision $((first + 2))
ask "/api/v1/models/$id/inference" "{\"input_data\": $seed}" '"syndrome": ?"'
replicas 3
expect 'the correction is a new revision' has_revision $((first + 3))
stop
git diff --exit-code

scripts/dev.sh pack
node build/bin.cjs init "$folder/project"
cd "$folder/project"
npm install --no-audit --no-fund --loglevel=error
npx ai-model-service synth
npx tsc --noEmit
# Not by npx: it does not hand the signal on.
node_modules/.bin/ai-model-service dev --port 0 >"$folder/log" 2>&1 &
server=$!
expect 'the new project answers' logs '^API: '
url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$folder/log" | head -1)
ask /api/v1/models/iris/inference "$(cat examples/requests/iris.json)" '"setosa"'
stop
