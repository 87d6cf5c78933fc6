#!/usr/bin/env bash
# Everything a developer does here, in one place. Needs Node >= 20.19 and npm, and installs the rest itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
scripts/dev.sh COMMAND
  dev [ARGS]    install, build, synthesize models/ to dist/, serve them on 127.0.0.1:8080
  start [ARGS]  install, build, start the service with config/config.yaml
  test [ARGS]   all tests that need no cluster (jest; ARGS are jest's)
  test-cov      the same with coverage
  setup         install everything that package-lock.json lists (dev installs only what it needs)
  build         compile the library, bundle the command line to build/, and make the image with docker
  pack          make the npm package: suoke-ai-model-service-VERSION.tgz, checked, in this folder
  image [ARGS]  make the image by docker, or by buildah without a daemon, and build/image.tar of it for ctr
                and kind (ARGS are those of scripts/image.sh)
  format        rewrite the files as prettier wants them
  lint          oxlint, warnings are errors
  type-check    tsc, strict
  security      licences, lint rules against injection, a search for secrets, pinned actions, npm audit
                (--offline: without the audit)
  check-all     format, lint, type-check, contract files, tests
  docs          API reference to docs/api
  clean         remove build/, coverage/, docs/api/ and the local state
USAGE
}

need_node() {
  command -v node >/dev/null || { echo "Node.js is missing: install version 20.19 or newer" >&2; exit 1; }
  node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    if (major > 20 || (major === 20 && minor >= 19)) process.exit(0);
    console.error(`Node.js ${process.versions.node} is too old: install version 20.19 or newer`);
    process.exit(1);'
}

# The process of a service that was started here: node loads some packages only when they are needed, and
# npm ci removes all of them first. Its command line has the whole path of the program for this search.
service_here() {
  ps -A -ww -o pid= -o args= 2>/dev/null |
    PROGRAM="$PWD/build/bin.cjs" awk 'index($0, ENVIRON["PROGRAM"]) && !found { found = $1 } END { print found }'
}

# What a terminal shows while npm works: a minute of silence looks like a hang.
install() { # install WHAT ARGS...
  local what=$1 progress=--no-progress service
  shift
  service=$(service_here) || true
  if [[ -n $service ]]; then
    echo "Installing $what would replace the packages of the service that runs from this folder: stop it first (process $service)" >&2
    exit 1
  fi
  [[ -t 2 ]] && progress=--progress
  echo "Installing $what from package-lock.json: half a minute to two…" >&2
  npm ci "$progress" --loglevel=error "$@" >&2
  touch node_modules/.package-lock.json
  cp package-lock.json node_modules/.installed-lock.json
}

# npm writes node_modules/.package-lock.json last: a file older than the lock belongs to an earlier lock,
# unless git only wrote the same lock again.
installed() {
  local done=node_modules/.package-lock.json copy=node_modules/.installed-lock.json
  [[ -e $done ]] || return 1
  [[ ! $done -ot package-lock.json ]] || { [[ ! $copy -ot $done ]] && cmp -s package-lock.json "$copy"; }
}

# Everything: the service's own packages and those of test/package.json.
setup() {
  need_node
  installed && [[ -e node_modules/.bin/jest ]] || install "the service and its tools"
}

# Only what builds and runs the service: half the size and a third of the packages. Tools that are
# installed already stay.
setup_service() {
  need_node
  installed && return
  if [[ -e node_modules/.bin/jest ]]; then setup; else install "the service" --workspaces=false; fi
}

# Is a built file missing, or older than one of its sources?
stale() { # stale BUILT SOURCE...
  local built=$1
  shift
  [[ ! -e $built ]] || [[ -n $(find "$@" -newer "$built" -print -quit) ]]
}

# Models load without type checks; building only what changed makes the second start fast.
build_bin() {
  setup_service
  if stale build/bin.cjs cli lib runtime scripts/build.mjs package.json node_modules/.package-lock.json; then
    echo "Building…" >&2
    node scripts/build.mjs bin
  fi
}

contracts() {
  npx tsx scripts/schema.ts --check
  npx tsx scripts/openapi.ts --check
  npx tsx scripts/deploy.ts --check
  node build/bin.cjs synth --check
}

# The image needs docker; the rest of a build does not, so its absence is said and nothing fails.
docker_image() {
  if docker version >/dev/null 2>&1; then
    scripts/image.sh
  else
    echo "No image: no docker daemon answers. As root, scripts/dev.sh image makes it by buildah." >&2
  fi
}

# The file stays here: init copies it into new projects.
pack() {
  setup
  npm run --silent build
  npx publint --strict
  local tarball
  tarball=$(npm pack --silent)
  # A proto file is not a module; it is in the exports so that its path can be resolved.
  npx attw "$tarball" --profile node16 --exclude-entrypoints ./schema/open_inference.proto
  echo "$tarball"
}

# Each check runs even if one before it found something; a registry that cannot be reached is said.
security() {
  local failed=0
  node scripts/licences.mjs || failed=1
  npm run --silent lint || failed=1
  if git grep -nIE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abp]-[0-9A-Za-z-]{10,}|hf_[A-Za-z]{34}|ams_[A-Za-z0-9_-]{43}' -- . ':!scripts/dev.sh' ':!test/**/fixtures/**'; then
    echo "That looks like a secret: take it out of the repository and revoke it" >&2
    failed=1
  fi
  if grep -nE 'uses: [^ ]+@' .github/workflows/*.yml | grep -vE '@[0-9a-f]{40}( |$)'; then
    echo "These actions are not pinned to a commit" >&2
    failed=1
  fi
  [[ ${1:-} == --offline ]] || audit || failed=1
  return "$failed"
}

# npm says by its exit code both that it found something and that it could not ask.
audit() {
  local report
  report=$(npm audit --omit=dev --audit-level=high --json 2>/dev/null) && { echo "npm audit: nothing of level high"; return; }
  if node -e 'process.exit(JSON.parse(process.argv[1]).vulnerabilities ? 0 : 1)' "$report" 2>/dev/null; then
    npm audit --omit=dev --audit-level=high
  else
    echo "npm audit: the registry does not answer; dependencies were not checked" >&2
  fi
}

command=${1:-help}
[[ $# -gt 0 ]] && shift
case $command in
  dev) build_bin; exec node "$PWD/build/bin.cjs" dev --synth dist "$@" ;;
  start) build_bin; exec node "$PWD/build/bin.cjs" serve --config config/config.yaml "$@" ;;
  test) setup; exec npx jest "$@" ;;
  test-cov) setup; exec npx jest --coverage "$@" ;;
  setup) setup ;;
  build) setup; npm run --silent build; docker_image ;;
  pack) pack ;;
  image) need_node; scripts/image.sh --archive build/image.tar "$@" ;;
  format) setup; npx prettier --write . ;;
  lint) setup; npm run --silent lint ;;
  type-check) setup; npm run --silent typecheck ;;
  security) setup; security "$@" ;;
  check-all) setup; build_bin; npm run --silent format:check; npm run --silent lint; npm run --silent typecheck; contracts; npx jest ;;
  docs) setup; npx typedoc ;;
  clean) rm -rf build coverage docs/api .ai-model-service ;;
  help | -h | --help) usage ;;
  *) echo "Unknown command: $command" >&2; usage >&2; exit 2 ;;
esac
