#!/usr/bin/env bash
# A new commit that does not change the image: a tag is set on the one that is there.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
begin alias
new_repository alias
new_project
as_push

ours() {
  timed build-once "$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER"
  expect reused-key
}
theirs() {
  timed shell-flow "$BENCHES/shell-flow.sh" "$IMAGE" "$PARAMETER"
  grep -q 'alias set' "$LOG" || die "$NAME: the shell flow set no alias"
}
# Both see the same new commit; neither has set its tag yet.
each_round() {
  echo "$1" >>docs/notes.md
  commit "round $1"
  as_push
}

"$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER" >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"
"$BENCHES/shell-flow.sh" "$IMAGE" "$PARAMETER" >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"
side_by_side ours theirs
compare build-once shell-flow 'alias: new commit, same content' '≥ 4× faster' faster
