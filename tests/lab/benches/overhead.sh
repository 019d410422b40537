#!/usr/bin/env bash
# What the program itself costs: time over the network's for a hit, processor time and peak memory
# on every path, children (docker, BuildKit) left out.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
LIMIT_MS=60 LIMIT_KIB=40960

cleanup() {
  docker rmi -f "$IMAGE_HERE" >/dev/null 2>&1
  [[ -z ${GATEWAY_PID:-} ]] || kill "$GATEWAY_PID" 2>/dev/null
}
IMAGE_HERE=build-once-bench-$$
begin overhead
IMAGE=$IMAGE_HERE
new_build
as_push
new_repository overhead
new_builder overhead

# AWS's API and instance metadata through a gateway of our own: its journal has the time of each
# request. The registry is behind the lab's gateway already.
aws_through_gateway() {
  local binary=${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/lab-gateway name address
  [[ -x $binary ]] || (cd "$REPO_DIR" && cargo build -q --workspace --bin lab-gateway)
  "$binary" --listen 127.0.0.1:0 --upstream "$AWS_URL" --control 127.0.0.1:0 >"$WORK/gateway" 2>&1 &
  GATEWAY_PID=$!
  wait_for 5 "the gateway before AWS" grep -q control "$WORK/gateway"
  read -r _ _ address _ AWS_JOURNAL <"$WORK/gateway"
  for name in AWS_ENDPOINT_URL AWS_ENDPOINT_URL_{ECR,SSM,STS} AWS_EC2_METADATA_SERVICE_ENDPOINT; do
    export "$name=http://$address"
  done
}
aws_through_gateway

newest() { curl -fsS "$1/journal" | jq 'map(.seq) | max // 0'; }
# spent CONTROL SINCE: milliseconds of the program's requests after number SINCE.
spent() {
  curl -fsS "$1/journal" | jq --argjson since "$2" --arg path "$IMAGE_HERE" --arg kind "$3" \
    '[.[] | select(.seq > $since and ($kind == "aws" or (.path | contains($path)))) | .took_ms // 0] | add // 0'
}

# measure PATH OUTCOME ARGUMENT...: one run of the program, watched.
measure() {
  local path=$1 outcome=$2 wall cpu peak
  shift 2
  : >"$GITHUB_OUTPUT"
  "$BENCHES/watch.py" "$WORK/cost" "$PROGRAM" run --image "$IMAGE" "$@" >"$LOG" 2>&1 \
    || die "$NAME: $path failed: $(tail -n 5 "$LOG")"
  [[ $(output outcome) == "$outcome" ]] || die "$NAME: $path was $(output outcome), not $outcome: $(tail -n 5 "$LOG")"
  read -r wall cpu peak <"$WORK/cost"
  sample "$path.wall" "$wall" && sample "$path.cpu" "$cpu" && sample "$path.peak" "$peak"
}
shared() { measure "$1" "$2" --ssm-parameter "$PARAMETER" --builder "$BUILDER" "${@:3}"; }
# A parameter that does not exist: everything stays on this machine.
alone() { measure "$1" "$2" --ssm-parameter /build-once-bench/none "${@:3}"; }
change() {
  head -c 15000 /dev/urandom >src/file-000
  commit change
  as_push
}

build_path() { change && shared build built; }
hit_path() {
  local aws registry network
  aws=$(newest "http://$AWS_JOURNAL") registry=$(newest "$GATEWAY_URL")
  shared hit reused-tag
  network=$(($(spent "http://$AWS_JOURNAL" "$aws" aws) + $(spent "$GATEWAY_URL" "$registry" registry)))
  sample hit.own "$(calc %.3f "$(tail -n 1 "$WORK/samples/hit.wall") - $network")"
}
alias_path() {
  commit 'nothing changes'
  as_push
  shared alias reused-key
}
remove_local() { docker images -q "$IMAGE" | sort -u | xargs -r docker rmi -f >/dev/null 2>&1 || true; }
pull_path() { remove_local && shared pull reused-tag --mode pull; }
pull_again_path() { shared pull-again reused-local --mode pull; }
local_build_path() { remove_local && change && alone local-build built-local; }
local_path() { alone local reused-local; }

side_by_side build_path hit_path alias_path pull_path pull_again_path local_build_path local_path

rows=() figures=('| path | start to finish | processor time | peak memory |' '| --- | --- | --- | --- |') worst=0
for path in hit alias build pull pull-again local-build local; do
  peak=$(sort -n "$WORK/samples/$path.peak" | tail -n 1)
  ((peak > worst)) && worst=$peak
  row="$path|$(human "$(median "$path.wall")")|$(human "$(median "$path.cpu")")|$(calc %.1f "$peak / 1024") MiB"
  rows+=("$row")
  figures+=("| ${row//|/ | } |")
done
own=$(median hit.own)
table 'path|start to finish|processor time|peak memory' "${rows[@]}"
printf 'hit: %s of %s are its own, the rest is the network'"'"'s (p90 %s)\n' "$(human "$own")" "$(human "$(median hit.wall)")" "$(human "$(p90 hit.own)")"
keep overhead \
  "Of a hit's $(human "$(median hit.wall)"), $(human "$own") are the program's own (target: under $LIMIT_MS ms); the largest peak memory is $(calc %.1f "$worst / 1024") MiB (target: under $((LIMIT_KIB / 1024)) MiB). Command: \`tests/lab/bench overhead --runs $RUNS\`; docker and BuildKit are not counted." \
  '' "${figures[@]}"
printf 'overhead: ratio=%s own_ms=%s peak_mib=%s\n' "$(calc %.2f "$own / $LIMIT_MS")" "$own" "$(calc %.1f "$worst / 1024")"
