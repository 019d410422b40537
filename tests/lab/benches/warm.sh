#!/usr/bin/env bash
# The code changed, what it depends on did not: an empty builder, the layers in the registry's cache.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
begin warm
new_build
as_push

new_repository ours && ours=$REPOSITORY:$PARAMETER
new_repository plain && plain=$REPOSITORY:$PARAMETER

# use PAIR: one of the two repositories.
use() { REPOSITORY=${1%%:*} PARAMETER=${1#*:}; }
ours() {
  use "$ours"
  new_builder "ours-$1"
  timed build-once run_program
  expect built
  (($(output cached-steps) >= 7)) || die "$NAME: only $(output cached-steps) steps came from the cache"
}
theirs() {
  use "$plain"
  new_builder "plain-$1"
  timed buildx run_plain
  (($(grep -c ' CACHED$' "$LOG") >= 7)) || die "$NAME: plain buildx did not use the cache"
}
# The same change for both.
each_round() {
  head -c 15000 /dev/urandom >src/file-000
  commit "round $1"
  as_push
}

new_builder seed-ours && use "$ours" && { run_program >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"; }
new_builder seed-plain && use "$plain" && { run_plain >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"; }
side_by_side ours theirs
compare build-once buildx 'warm: layers in the registry cache' '≤ 1.03×'
