#!/usr/bin/env bash
# Two platforms that were built apart become one image with three tags: by their keys, against `docker buildx imagetools
# create` with their digests and as many tags.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
begin merge
new_repository merge
docker login --username AWS --password-stdin "$ECR_HOST" <<<"$ECR_PASSWORD" >/dev/null 2>&1

PROJECT=$WORK/project
mkdir "$PROJECT"
cd "$PROJECT"
# shellcheck disable=SC2016 # a variable of Docker's
printf '%s\n' 'FROM scratch' 'ARG TARGETARCH' 'COPY file-$TARGETARCH /file' >Dockerfile
echo start | tee file-amd64 >file-arm64
git init -q -b main
commit start
as_push

# Each round has two new images, of which nothing is merged yet.
each_round() {
  local architecture
  DIGESTS=()
  for architecture in amd64 arm64; do
    echo "$1 $architecture" >"file-$architecture"
  done
  commit "round $1"
  as_push
  for architecture in amd64 arm64; do
    "$PROGRAM" run --image "$IMAGE" --repository "$REPOSITORY" --platforms "linux/$architecture" --cache none >"$LOG" 2>&1 \
      || die "$(tail -n 5 "$LOG")"
    expect built
    DIGESTS+=("$REPOSITORY@$(output digest)")
  done
}
# images TAG: the platforms and digests that an index names.
images() {
  docker buildx imagetools inspect --raw "$REPOSITORY:$1" | jq -r '.manifests[] | "\(.platform.architecture) \(.digest)"' | sort
}
ours() {
  timed build-once "$PROGRAM" run --mode merge --image "$IMAGE" --repository "$REPOSITORY" \
    --platforms linux/amd64,linux/arm64 --tags latest
  expect merged
  [[ $(output tags | jq -r '.[].result') == set ]] || die "$NAME: latest is not set: $(output tags)"
}
theirs() {
  timed imagetools docker buildx imagetools create --tag "$REPOSITORY:by-commit-$GITHUB_SHA" \
    --tag "$REPOSITORY:by-content-$GITHUB_SHA" --tag "$REPOSITORY:newest" "${DIGESTS[@]}"
}
side_by_side ours theirs
[[ $(images latest) == "$(images newest)" && $(images latest | wc -l) == 2 ]] || die "$NAME: the images differ"
compare build-once imagetools 'merge: two platforms that were built apart' '≥ 3× faster' faster
