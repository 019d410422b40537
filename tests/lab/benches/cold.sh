#!/usr/bin/env bash
# The first build of new content: an empty builder, an empty repository, no cache anywhere.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
begin cold
new_build

fresh() {
  local path
  for path in "${REPOSITORIES[@]}"; do forget_repository "$path"; done
  REPOSITORIES=()
  new_repository "$1"
  head -c 20 /dev/urandom | sha256sum >>pyproject.toml
  commit "$1"
  as_push
  new_builder "$1"
}
ours() {
  fresh "ours-$1"
  timed build-once run_program
  expect built
  [[ $(output cached-steps) == 0 ]] || die "$NAME: $(output cached-steps) steps came from a cache"
}
theirs() {
  fresh "plain-$1"
  timed buildx run_plain
}

side_by_side ours theirs
compare build-once buildx 'cold: nothing to reuse' '≤ 250 ms more'
