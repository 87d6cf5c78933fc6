#!/usr/bin/env bash
# Builds an image from its Dockerfile: by docker where its daemon answers, else by buildah, as root.
#   scripts/image.sh [--name NAME] [--archive FILE] [--context FOLDER] [OPTION…]
# --archive writes FILE as `docker save` does: for ctr, kind, minikube and docker load. Further options are
# those of `docker build` and `buildah build`: --build-arg BASE=… names another base image.
# Ends with 3 where neither docker nor buildah can be used.
set -euo pipefail
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/..")

name=$(node -p 'const { name, version } = require(process.argv[1]); `${name.slice(1)}:${version}`' "$root/package.json")
archive='' context=$root options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --name) name=$2; shift 2 ;;
    --archive) archive=$2; shift 2 ;;
    --context) context=$2; shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done

# The time of the commit, not of the build: docker takes it from the environment, buildah from an option.
git_log() { git -C "$context" log -1 --format="$1" 2>/dev/null; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git_log %ct || echo 0)}
export SOURCE_DATE_EPOCH
if revision=$(git_log %H); then
  options+=(--label "org.opencontainers.image.revision=$revision" --label "org.opencontainers.image.created=$(git_log %cI)")
fi
# A proxy before the package registry has certificates of its own. As a secret they do not stay in the image.
[[ ! -f ${NODE_EXTRA_CA_CERTS:-} ]] || options+=(--secret "id=ca,src=$NODE_EXTRA_CA_CERTS")

if [[ -n $archive ]]; then
  mkdir -p "$(dirname "$archive")"
  rm -f "$archive"
fi

if docker version >/dev/null 2>&1; then
  docker build "${options[@]}" --tag "$name" "$context"
  [[ -z $archive ]] || docker save --output "$archive" "$name"
else
  [[ $(id -u) == 0 ]] || { echo "No image: no docker daemon answers, and buildah needs root" >&2; exit 3; }
  # Beside this folder there may be a maker of the base image, for machines that reach no image registry.
  maker=${BASE_MAKER:-$root/../shared/image/base.sh}
  if [[ -x $maker ]]; then
    export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
    "$maker" >&2
  fi
  command -v buildah >/dev/null || { echo "No image: no docker daemon answers, and buildah is not installed" >&2; exit 3; }
  # The docker format keeps HEALTHCHECK.
  buildah build --format docker --pull=false --timestamp "$SOURCE_DATE_EPOCH" "${options[@]}" --tag "$name" "$context"
  [[ -z $archive ]] || buildah push --quiet "$name" "docker-archive:$archive:$name"
fi
echo "$name${archive:+: $archive}"
