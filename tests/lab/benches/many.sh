#!/usr/bin/env bash
# Twelve images of one definition: a base, three chains on it and four alone. Nothing changed, one leaf changed, all
# changed; against `docker buildx bake --push` of the same definition with a registry cache for each image, on builders
# that have just been made. Then the plan of 200 images.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
begin many
LIMIT_MS=2000 LIMIT_KIB=65536

# What each image is built on; a chain is written from its base to its leaf.
declare -A ON=([base]='' [api-1]=base [api-2]=api-1 [api-3]=api-2 [web-1]=base [web-2]=web-1 [job-1]=base [job-2]=job-1
  [docs]='' [lint]='' [tool]='' [mock]='')
IMAGES=$(printf '%s\n' "${!ON[@]}" | sort)

# target NAME CONTEXT ON [REPOSITORY]: as JSON; with a repository its tag, its cache and no attestations.
target() {
  jq -n --arg name "$1" --arg context "$2" --arg on "$3" --arg repository "${4:-}" '{($name): ({context: $context}
    + (if $on != "" then {contexts: {($on): "target:\($on)"}} else {} end)
    + (if $repository != "" then {tags: ["\($repository):\($name)"], attest: ["type=provenance,disabled=true"],
        "cache-from": ["type=registry,ref=\($repository):cache-\($name)"],
        "cache-to": ["type=registry,ref=\($repository):cache-\($name),mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true"]}
      else {} end))}'
}
# definition [REPOSITORY]: of the twelve.
definition() {
  local name
  for name in $IMAGES; do target "$name" "$name" "${ON[$name]}" "$@"; done |
    jq -s '{group: {default: {targets: (add | keys)}}, target: add}'
}

# packages IMAGE BYTES: what the layer comes from, which is a third larger.
SMALL=3000000 LARGE=24000000
packages() { printf '%s\n' "$2" "$EPOCHREALTIME" >"$1/packages"; }

PROJECT=$WORK/project
mkdir "$PROJECT"
cd "$PROJECT"
for name in $IMAGES; do
  mkdir "$name"
  echo 1 >"$name/file"
  # A layer that comes out of the cache where `packages` has not changed, and one with the code.
  # shellcheck disable=SC2016 # for the build's shell
  printf '%s\n' "FROM ${ON[$name]:-$BUILD_ONCE_LAB_BASE_IMAGE}" 'COPY packages /packages' \
    'RUN head -c "$(head -n 1 /packages)" /dev/urandom | base64 >/packages-of-'"$name" "COPY file /$name-file" "RUN cat /$name-file >/$name-built" >"$name/Dockerfile"
  packages "$name" $SMALL
done
definition >docker-bake.json
git init -q -b main
commit start
as_push
docker login --username AWS --password-stdin "$ECR_HOST" <<<"$ECR_PASSWORD" >/dev/null 2>&1

new_repository ours && ours=$PARAMETER
new_repository plain
definition "$REPOSITORY" >"$WORK/plain.json"

many() { "$PROGRAM" run --bake docker-bake.json --ssm-parameter "$ours" --builder "$BUILDER"; }
# The caches write what they read: each round's is the one before's with what has changed.
plain() { docker buildx bake --progress plain --builder "$BUILDER" --file "$WORK/plain.json" --push; }
# built: how many images the program's last run built.
built() { output images | jq '[.[] | select(.outcome == "built")] | length'; }

ours() {
  new_builder "ours-$1"
  timed build-once many
  expect "$OUTCOME"
  [[ $(built) == "$BUILT" ]] || die "$NAME: $(built) images were built, not $BUILT"
}
theirs() {
  new_builder "plain-$1"
  timed bake plain
}
# Each row of the document is of one change.
measure() {
  OUTCOME=$2 BUILT=$3
  NAME=many side_by_side ours theirs
  compare build-once bake "${@:4}"
  ROWS+=("$(row build-once bake "${@:4}")")
  rm -f "$WORK"/samples/*
}
ROWS=()

new_builder seed-ours && { many >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"; }
new_builder seed-plain && { plain >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"; }

each_round() { commit "round $1" && as_push; }
measure nothing reused-key 0 'many: 12 images, nothing changed' '≥ 20× faster' faster

each_round() { echo "$1 $RANDOM" >docs/file && commit "round $1" && as_push; }
measure leaf built 1 'many: one leaf of 12 images changed' '≥ 4× faster' faster

each_round() {
  local name
  for name in $IMAGES; do packages "$name" "$size"; done
  commit "round $1"
  as_push
}
size=$SMALL
measure all built 12 'many: all 12 images changed, a layer of 4 MB in each' '≤ 1.05×'
size=$LARGE
measure all built 12 'many: all 12 images changed, a layer of 32 MB in each' '≤ 1.05×'

# The plan of 200 images, each with a context of its own: the program's time and memory; the time of
# `docker buildx bake --print` is not its own.
mkdir "$WORK/wide"
cd "$WORK/wide"
for ((number = 1; number <= 200; number++)); do
  mkdir "image-$number"
  printf '%s\n' "FROM $BUILD_ONCE_LAB_BASE_IMAGE" 'COPY . /x' >"image-$number/Dockerfile"
  on=
  ((number % 10 == 1)) || on=image-$((number - 1))
  [[ -z $on ]] || sed -i "s|^FROM .*|FROM $on|" "image-$number/Dockerfile"
  echo "$number" >"image-$number/file"
  target "image-$number" "image-$number" "$on"
done | jq -s '{group: {default: {targets: (add | keys)}}, target: add}' >docker-bake.json
git init -q -b main
commit start
as_push
for ((round = 0; round <= RUNS; round++)); do
  ((round != 1)) || rm -f "$WORK"/samples/plan.* "$WORK/samples/print"
  timed print docker buildx bake --file docker-bake.json --print
  "$BENCHES/watch.py" "$WORK/cost" "$PROGRAM" run --mode plan --bake docker-bake.json --ssm-parameter "$ours" >"$LOG" 2>&1 \
    || die "$NAME: the plan failed: $(tail -n 5 "$LOG")"
  [[ $(output missing | jq length) == 200 ]] || die "$NAME: the plan does not miss all images"
  read -r wall cpu peak <"$WORK/cost"
  sample plan.own "$(calc %.3f "$wall - $(tail -n 1 "$WORK/samples/print")")"
  sample plan.wall "$wall" && sample plan.cpu "$cpu" && sample plan.peak "$peak"
done
peak=$(sort -n "$WORK/samples/plan.peak" | tail -n 1) own=$(median plan.own)
keep many "${ROWS[@]}"
keep wide "The plan of 200 images takes $(human "$(median plan.wall)"). $(human "$own") of that are not \`docker buildx bake --print\`'s (target: under 2 s), the processor time is $(human "$(median plan.cpu)"), the peak memory $(calc %.1f "$peak / 1024") MiB (target: under $((LIMIT_KIB / 1024)) MiB). Command: \`tests/lab/bench many --runs $RUNS\`."
printf 'many: plan of 200: own_ms=%s of %s peak_mib=%s of %s\n' "$own" "$LIMIT_MS" "$(calc %.1f "$peak / 1024")" "$((LIMIT_KIB / 1024))"
