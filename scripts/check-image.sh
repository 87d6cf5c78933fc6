#!/usr/bin/env bash
# Builds the image, looks at its size, unpacks the archive as a container runtime would, and runs it there:
# as its own user, with a read-only root, as process 1. Running needs root; without it only the image is
# looked at. scripts/check-image.sh [ARCHIVE] takes an archive that is there instead of building one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MAX_MIB=200
work=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

fail() { echo "$*" >&2; exit 1; }

archive=${1:-}
if [[ -z $archive ]]; then
  archive=build/image.tar
  code=0
  scripts/image.sh --archive "$archive" || code=$?
  if [[ $code == 3 ]]; then exit 0; fi
  [[ $code == 0 ]] || fail "the image was not built"
fi

# Unpacked in the order of the manifest.
mkdir "$work/archive" "$work/root"
tar -xf "$archive" -C "$work/archive"
of() { node -p "const c = JSON.parse(require('fs').readFileSync(process.argv[1])); $1" "$2"; } # of EXPRESSION FILE
manifest=$work/archive/manifest.json
for layer in $(of 'c[0].Layers.join("\n")' "$manifest"); do tar -xpf "$work/archive/$layer" -C "$work/root"; done
mib=$(du -sm --apparent-size "$work/root" | cut -f1)
echo "$mib MiB unpacked"
((mib <= MAX_MIB)) || fail "more than $MAX_MIB MiB"
[[ -z $(find "$work/root" -name '*cuda*' -o -name '*.dll' -o -name '*.dylib' -o -iname '*tensorrt*') ]] ||
  fail "files for GPUs or other systems are in it"
[[ -z $(find "$work/root" -name sh -o -name bash -o -name npm) ]] || fail "a shell or npm is in it"
for folder in tmp data; do
  [[ $(stat -c %a "$work/root/$folder") == 1777 ]] || fail "/$folder is not writable for every user"
done
missing=$(of '["node", "onnxruntime-node", "express", "tar"].filter((one) => !c.components.some(({ name }) => name === one)).join()' \
  "$work/root/app/sbom.cdx.json")
[[ -z $missing ]] || fail "the bill of materials does not name $missing"
! grep -q '"name": "jest"' "$work/root/app/sbom.cdx.json" || fail "the bill of materials names what is not in it"

if [[ $(id -u) != 0 ]]; then
  echo "not root: the image was looked at and not run"
  exit 0
fi

mkdir -p "$work"/root/{proc,dev} "$work/root/models"
cp test/onnx/fixtures/identity_fp32.onnx "$work/root/models/echo.onnx"
printf 'model_id: echo\nversion: "1"\nframework: onnx\n' >"$work/root/models/echo.yaml"
config=$work/archive/$(of 'c[0].Config' "$manifest")
user=$(of c.config.User "$config")
mapfile -t env < <(of 'c.config.Env.join("\n")' "$config")
mapfile -t entrypoint < <(of 'c.config.Entrypoint.join("\n")' "$config")
workdir=$(of c.config.WorkingDir "$config")
export user workdir

# As a container: process 1 of its own namespaces, the image's user, root read-only but for /tmp and /data, no
# network but loopback.
container() { # container ARG…
  # shellcheck disable=SC2016
  exec unshare --mount --pid --net --fork --kill-child bash -c '
    root=$1; shift
    mount --bind "$root" "$root"
    mount -t tmpfs -o mode=1777 tmp "$root/tmp"
    mount -t tmpfs -o mode=1777 data "$root/data"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mount -o remount,bind,ro "$root"
    ip link set lo up
    exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" /usr/bin/env -i --chdir="$workdir" "$@"' \
    - "$work/root" "${env[@]}" AI_MODEL_SERVICE__MODELS__DIRECTORY=/models "$@"
}
start() { # start ARG…: in the background
  container "${entrypoint[@]}" "$@" >"$work/log" 2>&1 &
  server=$!
}
inside() { nsenter --target "$server" --net -- "$@"; }
await() { # await URL…
  for _ in $(seq 300); do
    inside curl -sf "$@" && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.2
  done
  cat "$work/log" >&2
  fail "no answer: $*"
}
health() { # as the HEALTHCHECK of the image asks
  inside node "$work/root$(of 'c.config.Healthcheck.Test.at(-1)' "$config")" || fail "the health check fails"
}
# SIGTERM to process 1, which ends by itself with the code given.
stop() { # stop CODE
  local child code=0
  child=$(cat "/proc/$server/task/$server/children")
  kill -TERM ${child%% *}
  wait "$server" || code=$?
  server=
  [[ $code == "$1" ]] || { cat "$work/log" >&2; fail "ended with $code after SIGTERM, must be $1"; }
}

(container "${entrypoint[@]}" --version)
help=$(container "${entrypoint[@]}" fetch --help)
grep -q -- --sha256 <<<"$help" || fail "fetch --help says: $help"
[[ $(container /usr/local/bin/node -p 'process.getuid()') == "${user%%:*}" ]] || fail "the user is not $user"
(container /usr/local/bin/node -e 'try { fs.writeFileSync("/app/x", "") } catch ({ code }) { process.exit(code === "EROFS" ? 0 : 1) }') ||
  fail "the root is not read-only"

start serve-onnx --model echo=/models/echo.onnx
await http://127.0.0.1:8080/v2/models/echo/ready >/dev/null
request='{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1.5,-2,3]}]}'
answer=$(await -H 'content-type: application/json' -d "$request" http://127.0.0.1:8080/v2/models/echo/infer)
echo "serve-onnx: $answer"
grep -q '"data":\[1.5,-2,3\]' <<<"$answer" || fail "no inference"
health
! grep -i telemetry "$work/log" || fail "it would report to somebody"
stop 0

start serve
until grep -q '^ams_' "$work/log"; do
  kill -0 "$server" || fail "serve ended: $(cat "$work/log")"
  sleep 0.1
done
key=$(grep '^ams_' "$work/log")
await -H "x-api-key: $key" http://127.0.0.1:8080/v2/models/echo/ready >/dev/null
answer=$(await -H "x-api-key: $key" -d "$request" http://127.0.0.1:8080/v2/models/echo/infer)
echo "serve: $answer"
grep -q '"data":\[1.5,-2,3\]' <<<"$answer" || fail "no inference"
inside curl -sf -d "$request" http://127.0.0.1:8080/v2/models/echo/infer && fail "it is open to everybody"
health
stop 0

# A process 1 that waits gets no default action of the kernel, and must end all the same.
start fetch --wait 600 --to /tmp/never s3://nowhere/x
until inside true && [[ -n $(cat "/proc/$server/task/$server/children") ]]; do sleep 0.1; done
sleep 1
stop 143
echo "the image is right"
