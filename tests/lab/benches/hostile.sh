#!/usr/bin/env bash
# The worst of hostile inputs of each kind: 64 KiB each, by processor time and memory (tests/hostile).
# BUILD_ONCE_HOSTILE: how many of each kind (200).
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

begin hostile
export BUILD_ONCE_HOSTILE=${BUILD_ONCE_HOSTILE:-200}
say "building the search (release)"
cd "$REPO_DIR"
cargo test -q --release --workspace --test hostile >"$LOG" 2>&1 || die "$NAME: $(tail -n 20 "$LOG")"
mapfile -t figures < <(grep '^| `' "$LOG")
((${#figures[@]})) || die "$NAME: no figures: $(tail -n 5 "$LOG")"
rows=() worst=0 largest=0
for figure in "${figures[@]}"; do
  IFS='|' read -r _ kind time memory _ <<<"$figure"
  kind=${kind// /} time=${time# } time=${time% } memory=${memory# } memory=${memory% }
  rows+=("$kind|$time|$memory")
  worst=$(calc %d "(${time% ms} > $worst ? ${time% ms} : $worst)")
  largest=$(calc %.1f "(${memory% MiB} > $largest ? ${memory% MiB} : $largest)")
done
table 'kind|processor time|memory' "${rows[@]}"
keep hostile "The worst of $BUILD_ONCE_HOSTILE hostile inputs of 64 KiB a kind (target: 1 s of processor time, 64 MiB). Command: \`tests/lab/bench hostile\`." \
  '' '| kind | processor time | memory |' '| --- | --- | --- |' "${figures[@]}"
printf 'hostile: ratio=%s worst_ms=%s largest_mib=%s\n' "$(calc %.2f "$worst / 1000")" "$worst" "$largest"
