#!/usr/bin/env bash
# Packs the package, installs it with its peers in an empty folder, and uses it as its users do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
folder=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

tarball=$root/$(scripts/dev.sh pack | tail -1)

cd "$folder"
node "$root/build/bin.cjs" init project
cd project
cmp "$tarball" "vendor/$(basename "$tarball")"
npm install --no-audit --no-fund --loglevel=error
npx ai-model-service --version
npx ai-model-service validate
npx ai-model-service synth
npx ai-model-service synth --check
CDK8S_CHECK_UPGRADE=false npx cdk8s synth
npx ai-model-service synth --check
[[ $(find dist -type f) == dist/iris.k8s.yaml ]]

# The library's types and its subpath, as a strict user compiles them.
cat >use.ts <<'TS'
import { App, Chart } from 'cdk8s';
import { ModelDeployment } from '@suoke/ai-model-service';
import { defineModel, parseModel } from '@suoke/ai-model-service/spec';

const model = defineModel({ id: 'm', version: '1', framework: 'tensorflow', image: 'a/b:1' });
const app = new App();
new ModelDeployment(new Chart(app, 'models'), 'm', { model });
process.stdout.write(`${parseModel(model).slug}\n${app.synthYaml().length > 0}\n`);
TS
"$root/node_modules/.bin/tsc" --ignoreConfig --module node20 --target es2022 --strict --typeRoots "$root/node_modules/@types" \
  --types node --outDir out use.ts
[[ $(node out/use.js) == $'m\ntrue' ]]
# Editors show what a field means, the nested ones too.
types=node_modules/@suoke/ai-model-service/build/lib/spec
grep -q 'Budget to load the model, in seconds' "$types/modelinput.d.ts"
grep -q 'trials of the candidate per step at least' "$types/modelinput.d.ts"
# The definition alone must not pull in cdk8s.
node -e '
  require("@suoke/ai-model-service/spec");
  const loaded = Object.keys(require.cache).filter((file) => /node_modules.(cdk8s|constructs|express)/.test(file));
  if (loaded.length > 0) throw new Error(`spec loads ${loaded[0]}`);'

# Both ways to run it answer: `dev`, and the service with its configuration.
answers() { # answers ARG…
  node_modules/.bin/ai-model-service "$@" >serve.log 2>&1 &
  server=$!
  for _ in $(seq 100); do
    grep -qE 'http://127\.0\.0\.1:[0-9]+' serve.log && break
    kill -0 "$server" || { cat serve.log; exit 1; }
    sleep 0.2
  done
  local url answer
  url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' serve.log | head -1)
  answer=$(curl -sSf --retry 20 --retry-all-errors --retry-delay 1 -H 'content-type: application/json' \
    -d @examples/requests/iris.json "$url/api/v1/models/iris/inference")
  echo "$1: $answer"
  grep -q '"setosa"' <<<"$answer"
  kill -TERM "$server"
  wait "$server"
  server=
}
answers dev models --port 0
printf 'server: { port: 0, accept_seconds: 0 }\nauth: { mode: none }\n' >config.yaml
answers serve --config config.yaml
