#!/usr/bin/env bash
# An unchanged commit: its image is there, nothing is built or pulled.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
begin hit
new_repository hit
new_project
as_push

ours() {
  timed build-once "$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER"
  expect reused-tag
}
theirs() {
  timed shell-flow "$BENCHES/shell-flow.sh" "$IMAGE" "$PARAMETER"
  grep -q 'commit tag found' "$LOG" || die "$NAME: the shell flow missed"
}

"$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER" >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"
"$BENCHES/shell-flow.sh" "$IMAGE" "$PARAMETER" >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"
side_by_side ours theirs
compare build-once shell-flow 'hit: unchanged commit' '≥ 10× faster' faster
