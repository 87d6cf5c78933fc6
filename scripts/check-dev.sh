#!/usr/bin/env bash
# The README's first command as a newcomer runs it: the last commit, cloned into an empty folder, twice.
# Fails when the first start takes 90 s or more, a later one 3 s or more, or when the request of the
# README gets no syndrome by any of the four ways to ask.
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
stop
git diff --exit-code
