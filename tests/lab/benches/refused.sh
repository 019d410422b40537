#!/usr/bin/env bash
# What a refused input costs: the program's own time from start to exit, and that neither docker nor a registry is asked.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
LIMIT_MS=10

begin refused
new_project
as_push
: >"$WORK/asked"
# A docker that notes that it was started.
mkdir "$WORK/bin"
# shellcheck disable=SC2016 # for the script that is written
printf '#!/bin/sh\necho docker >>%q\nexit 1\n' "$WORK/asked" >"$WORK/bin/docker"
chmod +x "$WORK/bin/docker"
export PATH="$WORK/bin:$PATH"
# A registry and a proxy that note each connection.
python3 - "$WORK/asked" "$WORK/port" <<'PY' &
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[2], "w") as out:
    print(listener.getsockname()[1], file=out)
while True:
    connection, _ = listener.accept()
    connection.close()
    with open(sys.argv[1], "a") as asked:
        print("connection", file=asked)
PY
LISTENER=$!
cleanup() { kill "$LISTENER" 2>/dev/null; }
wait_for 5 "the listener" test -s "$WORK/port"
SINK=127.0.0.1:$(cat "$WORK/port")
export HTTP_PROXY=http://$SINK HTTPS_PROXY=http://$SINK AWS_ENDPOINT_URL=http://$SINK \
  AWS_EC2_METADATA_SERVICE_ENDPOINT=http://$SINK INPUT_REPOSITORY=$SINK/bench

# refused INPUT VALUE: one run that ends with exit code 2 and names the input.
refused() {
  local wall cpu code=0
  "$BENCHES/watch.py" "$WORK/cost" "$PROGRAM" run --image "$IMAGE" "--$1=$2" >"$LOG" 2>&1 || code=$?
  ((code == 2)) || die "$NAME: $1=$2 ended with $code, not 2: $(tail -n 5 "$LOG")"
  grep -q "$1" "$LOG" || die "$NAME: $1=$2 is not named: $(tail -n 5 "$LOG")"
  [[ ! -s $WORK/asked ]] || die "$NAME: $1=$2 asked $(sort "$WORK/asked" | uniq -c | tr -s ' \n' ' ')"
  read -r wall cpu _ <"$WORK/cost"
  sample "$1" "$wall" && sample "$1.cpu" "$cpu"
}
INPUTS=(platforms timeout repository tags build-args mode)
VALUES=(linux/none/x/y soon h.example/UPPER 'not a reference' '=no-name' neither)
one_of_each() {
  local at
  for at in "${!INPUTS[@]}"; do refused "${INPUTS[at]}" "${VALUES[at]}"; done
}
side_by_side one_of_each

rows=() worst=0
for input in "${INPUTS[@]}"; do
  rows+=("\`$input\`|$(human "$(median "$input")")|$(human "$(p90 "$input")")|$(human "$(median "$input.cpu")")")
  worst=$(calc %.3f "($(median "$input") > $worst ? $(median "$input") : $worst)")
done
table 'refused input|median|p90|processor time' "${rows[@]}"
figures=()
for row in "${rows[@]}"; do figures+=("| ${row//|/ | } |"); done
keep refused "A refused input, from start to exit, with no process started and no connection opened (target: under $LIMIT_MS ms). Command: \`tests/lab/bench refused --runs $RUNS\`. <!-- test: tests/lab/benches/refused.sh -->" \
  '' '| refused input | median | p90 | processor time |' '| --- | --- | --- | --- |' "${figures[@]}"
printf 'refused: ratio=%s worst_ms=%s\n' "$(calc %.2f "$worst / $LIMIT_MS")" "$worst"
