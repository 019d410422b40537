#!/usr/bin/env bash
# What a layer cache costs: an unchanged context on an empty builder, everything from the cache, by
# registry, folder and GitHub's cache service; the program against plain buildx with the same flags.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
# shellcheck source=tests/lab/act.sh
source "$LAB_DIR/act.sh"
KINDS=(registry local gha)

# cache_service: GitHub's cache service, which act serves while it runs a job; what it gives to the
# job's steps comes into this shell.
cache_service() {
  local folder=$WORK/service
  mkdir -p "$folder/repository/.github/workflows"
  # shellcheck disable=SC2016 # for the job's shell
  printf '%s\n' 'on: push' 'jobs:' '  serve:' '    runs-on: ubuntu-latest' '    steps:' \
    "      - run: env | grep ^ACTIONS_ >$folder/new && mv $folder/new $folder/variables && while [ -e $folder/variables ]; do sleep 1; done" \
    >"$folder/repository/.github/workflows/serve.yml"
  git -C "$folder/repository" init -q -b main
  git -C "$folder/repository" remote add origin https://github.com/bench/bench.git
  (cd "$folder/repository" && commit serve)
  mkdir -p "$folder/home/.config/act"
  HOME=$folder/home setsid act push --directory "$folder/repository" --platform ubuntu-latest=-self-hosted \
    --action-cache-path "$folder/actions" --cache-server-addr 127.0.0.1 --cache-server-path "$folder/cache" \
    --artifact-server-addr 127.0.0.1 --artifact-server-path "$folder/artifacts" --artifact-server-port 34601 \
    >"$folder/log" 2>&1 </dev/null &
  SERVICE=$!
  wait_for 30 "GitHub's cache service ($folder/log)" test -s "$folder/variables"
  set -a
  # shellcheck source=/dev/null
  source "$folder/variables"
  set +a
}
cleanup() {
  [[ -z ${SERVICE:-} ]] || { rm -f "$WORK/service/variables" && wait "$SERVICE"; } 2>/dev/null
}

# ours KIND ROUND, plain KIND ROUND: one build; the caches of the two have nothing in common. A label makes each
# round a miss; `key-extra` would also run every RUN anew, as docs/keys.md promises.
ours() {
  "$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER" --builder "$BUILDER" \
    --cache "$1" --cache-dir "$WORK/layers" --labels "round=$1 $2"
}
plain() {
  local from to key
  key=$(printf '%s' "$1 $2" | sha256sum | cut -d' ' -f1)
  case $1 in
    registry) from=ref=$REPOSITORY:cache-$MARK-$IMAGE-main to=$from,image-manifest=true,oci-mediatypes=true ;;
    local) from=src=$WORK/plain to=dest=$WORK/plain,image-manifest=true,oci-mediatypes=true ;;
    gha) from=scope=plain to=$from ;;
  esac
  docker buildx build --progress plain --builder "$BUILDER" --file Dockerfile \
    --build-context "$BUILD_ONCE_LAB_BASE_IMAGE=docker-image://${BUILD_ONCE_LAB_BASE_IMAGE%:*}@$BASE_DIGEST" \
    --label "round=$1 $2" --label "io.github.build-once.key=$key" --annotation "manifest:io.github.build-once.key=$key" \
    --annotation manifest:io.github.build-once.zone=trusted \
    --annotation "manifest:org.opencontainers.image.revision=$GITHUB_SHA" \
    --cache-from "type=$1,$from" --cache-to "type=$1,$to,mode=max,ignore-error=true" \
    --tag "$REPOSITORY:sha-$MARK-$IMAGE-$key" --tag "$REPOSITORY:key-$MARK-$IMAGE-${key:0:32}" \
    --metadata-file "$WORK/metadata.json" --provenance=false --push .
}

# took PATTERN: seconds of the log's step with this name, in milliseconds.
took() {
  awk -v pattern="$1" '$0 ~ "^#[0-9]+ " pattern { step = $1 } step != "" && $1 == step && $2 == "DONE" { sub("s", "", $3); sum += $3 * 1000 }
    END { print sum + 0 }' "$LOG"
}
IMPORT='importing cache' EXPORT='(exporting cache|exporting to GitHub Actions Cache)'

build() {
  local who=$1 kind=$2 round=$3
  REPOSITORY=${SHARED[$who-$kind]%%;*} PARAMETER=${SHARED[$who-$kind]#*;}
  new_builder "$who-$kind-$round"
  : >"$WORK/runner/output"
  timed "$who-$kind" "$who" "$kind" "$round"
  (($(grep -c ' CACHED$' "$LOG") >= 7)) || [[ $round == seed ]] || die "$NAME: $who $kind did not use the cache: $(tail -n 5 "$LOG")"
  sample "$who-$kind-import" "$(took "$IMPORT")"
  sample "$who-$kind-export" "$(took "$EXPORT")"
}
round() {
  local who kind order=(ours plain)
  (($1 % 2)) || order=(plain ours)
  for kind in "${KINDS[@]}"; do
    # The commit's tag would be a hit.
    commit "$kind $1" && as_push
    for who in "${order[@]}"; do build "$who" "$kind" "$1"; done
  done
}

begin cache
new_build
as_push
cache_service
declare -A SHARED COLD
for kind in "${KINDS[@]}"; do
  for who in ours plain; do
    new_repository "$who-$kind"
    SHARED[$who-$kind]="$REPOSITORY;$PARAMETER"
    build "$who" "$kind" seed
    COLD[$who-$kind]=$(median "$who-$kind-export")
  done
done
side_by_side round

rows=()
for kind in "${KINDS[@]}"; do
  for who in ours plain; do
    name=build-once && [[ $who == ours ]] || name=buildx
    rows+=("$kind|$name|$(human "$(median "$who-$kind")")|$(human "$(p90 "$who-$kind")")|$(human "$(median "$who-$kind-import")")|$(human "$(median "$who-$kind-export")")|$(human "${COLD[$who-$kind]}")|$(wc -l <"$WORK/samples/$who-$kind")")
  done
done
table 'cache|with|warm build|p90|import|export|first export|runs' "${rows[@]}" | tee "$WORK/table"
mapfile -t lines <"$WORK/table"
ratio=$(calc %.3f "$(median ours-registry) / $(median plain-registry)")
keep cache "**Caches: an unchanged context on an empty builder;** registry: ${ratio}× the time, target ≤ 1.05×. Command: \`tests/lab/bench cache --runs $BENCH_RUNS\`" '' "${lines[@]}"
printf 'cache: ratio=%s\n' "$ratio"
