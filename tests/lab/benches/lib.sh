#!/usr/bin/env bash
# Shared by the benchmarks: a workspace of their own in the lab, timing, statistics, figures.
# Sourced, never run.
# shellcheck disable=SC2034 # the variables are for the scripts that source this file
set -euo pipefail
BENCHES=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=tests/lab/lib.sh
source "$BENCHES/../lib.sh"
# shellcheck source=tests/lab/parts/aws.sh
source "$BENCHES/../parts/aws.sh"

FIGURES=${BUILD_ONCE_BENCH_FIGURES:-$REPO_DIR/target/bench}
DOC=$REPO_DIR/docs/benchmarks.md
IMAGE=app-ci
WARM_UPS=1

# begin NAME: a temporary folder, a docker configuration, a repository and a parameter that are
# nobody else's; all of it goes at the end.
begin() {
  NAME=$1
  RUNS=${BENCH_RUNS:-10}
  # shellcheck disable=SC1090 # what the lab says
  source <("$LAB_DIR/env")
  WORK=$(mktemp -d)
  trap finish EXIT
  mkdir -p "$WORK/samples" "$WORK/runner" "$WORK/docker/cli-plugins"
  ln -s "$BUILD_ONCE_LAB_BUILDX" "$WORK/docker/cli-plugins/docker-buildx"
  echo '{"auths": {}}' >"$WORK/docker/config.json"
  export DOCKER_CONFIG=$WORK/docker AWS_PAGER='' PROGRAM=$BUILD_ONCE_BENCH_BIN
  unset BUILDX_BUILDER BUILDX_CONFIG
  REPOSITORIES=() PARAMETERS=() BUILDERS=()
  LOG=$WORK/log
  say "$NAME: $RUNS runs each, after $WARM_UPS to warm up; load $(cut -d' ' -f1 /proc/loadavg)"
}

finish() {
  local code=$? name
  trap - EXIT
  set +e
  for name in "${BUILDERS[@]}"; do docker buildx rm --force "$name" >/dev/null 2>&1; done
  for name in "${PARAMETERS[@]}"; do aws_call ssm AmazonSSM.DeleteParameter "{\"Name\":\"$name\"}" >/dev/null; done
  for name in "${REPOSITORIES[@]}"; do forget_repository "$name"; done
  # The engine's own builder keeps what it pushed.
  docker images -q --filter "reference=$ECR_HOST/build-once-bench-$$-*" | sort -u | xargs -r docker rmi -f >/dev/null 2>&1
  declare -F cleanup >/dev/null && cleanup
  rm -rf "$WORK"
  exit "$code"
}

# new_repository SUFFIX: an empty repository in ECR; its name is in REPOSITORY, what the runner
# finds it by in PARAMETER.
new_repository() {
  local path=build-once-bench-$$-$1
  aws_call ecr AmazonEC2ContainerRegistry_V20150921.CreateRepository "{\"repositoryName\":\"$path\"}" >/dev/null
  REPOSITORIES+=("$path")
  REPOSITORY=$ECR_HOST/$path
  # The instance's id is for the program, or the shell flow, to fill in.
  PARAMETER="/$path/{instance-id}/ecr-cache-url"
  # What tags call the GitHub repository bench/bench (docs/trust.md, "Tags").
  MARK=r$(printf 'github.com\0bench/bench' | sha256sum | cut -c1-8)
  local name=${PARAMETER/'{instance-id}'/$BUILD_ONCE_LAB_INSTANCE_ID}
  aws_call ssm AmazonSSM.PutParameter "{\"Name\":\"$name\",\"Value\":\"$REPOSITORY\",\"Type\":\"String\"}" >/dev/null
  PARAMETERS+=("$name")
}

# The emulator keeps what a deleted repository held, in memory: the layers go one by one.
forget_repository() {
  local digest blob ecr=AmazonEC2ContainerRegistry_V20150921
  aws_call ecr "$ecr.ListImages" "{\"repositoryName\":\"$1\"}" | jq -r '.imageIds[]?.imageDigest' | sort -u \
    | while read -r digest; do
      curl -fsS "$AWS_URL/v2/$1/manifests/$digest" | jq -r '(.config, .layers[]?) | .digest // empty'
    done | sort -u | while read -r blob; do
      curl -fsS -o /dev/null -X DELETE "$AWS_URL/v2/$1/blobs/$blob"
    done
  aws_call ecr "$ecr.DeleteRepository" "{\"repositoryName\":\"$1\",\"force\":true}" >/dev/null
}

# new_project: a checkout of 400 files and 6 MB with a Dockerfile and what it depends on.
new_project() {
  PROJECT=$WORK/project
  mkdir -p "$PROJECT"/{src,docs}
  (
    cd "$PROJECT"
    head -c 6000000 /dev/urandom | split -b 15000 -a 3 -d - src/file-
    printf 'package-%d==1.0\n' {1..80} >requirements.txt
    echo '[project]' >pyproject.toml
    echo notes >docs/notes.md
    printf '%s\n' .git docs >.dockerignore
    printf '%s\n' "FROM $BUILD_ONCE_LAB_BASE_IMAGE" 'WORKDIR /app' 'COPY requirements.txt pyproject.toml ./' \
      'RUN cat requirements.txt >installed' 'COPY src ./src' >Dockerfile
    git init -q -b main
    commit start
  )
  cd "$PROJECT"
}

commit() {
  git add -A
  git -c user.name=bench -c user.email=bench@localhost -c commit.gpgsign=false commit -q --allow-empty -m "$1"
}

# as_push: the environment of a push to the default branch, at the project's present commit.
as_push() {
  local runner=$WORK/runner
  echo '{"ref":"refs/heads/main","repository":{"default_branch":"main"}}' >"$runner/event.json"
  : >"$runner/output"
  : >"$runner/summary"
  export GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_REF=refs/heads/main GITHUB_REF_NAME=main \
    GITHUB_REF_TYPE=branch GITHUB_REPOSITORY=bench/bench GITHUB_RUN_ID=1 GITHUB_RUN_ATTEMPT=1 GITHUB_JOB=image \
    GITHUB_EVENT_PATH=$runner/event.json GITHUB_OUTPUT=$runner/output GITHUB_STEP_SUMMARY=$runner/summary \
    RUNNER_TEMP=$runner GITHUB_SHA
  GITHUB_SHA=$(git rev-parse HEAD)
}

# output NAME: a step output of the program's last run.
output() {
  awk -v name="$1" 'index($0, name "<<") == 1 { getline value }
    index($0, name "=") == 1 { value = substr($0, length(name) + 2) } END { print value }' "$WORK/runner/output"
}

# expect OUTCOME: that the last run was the one to be measured.
expect() {
  local outcome
  outcome=$(output outcome)
  [[ $outcome == "$1" ]] || die "$NAME: the outcome is ${outcome:-none}, not $1: $(tail -n 5 "$LOG")"
  [[ $(output degraded) != true ]] || die "$NAME: the run was degraded: $(tail -n 5 "$LOG")"
}

# timed WHAT COMMAND...: from start to finish, in milliseconds.
timed() {
  local what=$1 begin end
  shift
  begin=${EPOCHREALTIME/./}
  "$@" >"$LOG" 2>&1 || die "$NAME: failed: $*: $(tail -n 5 "$LOG")"
  end=${EPOCHREALTIME/./}
  sample "$what" "$(((end - begin) / 1000)).$(printf %03d $(((end - begin) % 1000)))"
}

sample() { printf '%s\n' "$2" >>"$WORK/samples/$1"; }

# side_by_side FUNCTION...: each once a round, two of them in turns first; the warm-up is forgotten.
side_by_side() {
  local round step order
  for ((round = 1 - WARM_UPS; round <= RUNS; round++)); do
    ((round != 1)) || rm -f "$WORK"/samples/*
    ! declare -F each_round >/dev/null || each_round "$round"
    order=("$@")
    if (($# == 2 && round % 2 == 0)); then order=("$2" "$1"); fi
    for step in "${order[@]}"; do "$step" "$round"; done
    printf '.' >&2
  done
  printf '\n' >&2
}

median() {
  sort -n "$WORK/samples/$1" | awk '{ v[NR] = $1 } END { h = int((NR + 1) / 2); print NR % 2 ? v[h] : (v[h] + v[h + 1]) / 2 }'
}

# The nearest rank.
p90() { sort -n "$WORK/samples/$1" | awk '{ v[NR] = $1 } END { r = int(NR * 0.9); if (r < NR * 0.9) r++; print v[r] }'; }

# difference OURS THEIRS: the median of the paired differences, in milliseconds.
difference() {
  paste "$WORK/samples/$1" "$WORK/samples/$2" | awk '{ print $1 - $2 }' >"$WORK/samples/difference"
  median difference
}

calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# human MILLISECONDS
human() { awk -v ms="$1" 'BEGIN { if (ms < 10) printf "%.1f ms", ms; else if (ms < 1000) printf "%.0f ms", ms; else printf "%.2f s", ms / 1000 }'; }

# table HEADER ROW...: columns by `|`, as Markdown, aligned for people.
table() {
  printf '%s\n' "$@" | awk -F'|' '
    { rows = NR; columns = NF; for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
    function line(r,  i, text) { text = "|"; for (i = 1; i <= columns; i++) text = text sprintf(" %-*s |", width[i], cell[r, i]); return text }
    END {
      print line(1); rule = line(1); gsub(/[^|]/, "-", rule); print rule
      for (r = 2; r <= rows; r++) print line(r)
    }'
}

# row OURS THEIRS DESCRIPTION TARGET FASTER: the row for the document. With FASTER the ratio is theirs over ours,
# else ours over theirs.
row() {
  local ours theirs ratio
  ours=$(median "$1") theirs=$(median "$2")
  if [[ -n ${5:-} ]]; then
    ratio="$(calc %.1f "$theirs / $ours")× faster"
  else
    ratio="$(calc %.3f "$ours / $theirs")× the time, $(calc %+.0f "$(difference "$1" "$2")") ms"
  fi
  echo "| $3 | $(human "$ours") ($(human "$(p90 "$1")")) | $(human "$theirs") ($(human "$(p90 "$2")")) | $ratio | $4 | \`tests/lab/bench $NAME --runs $RUNS\` |"
}

# compare OURS THEIRS DESCRIPTION TARGET FASTER: prints the table and the last line, and keeps the figures.
compare() {
  local ours theirs ratio rows=() what
  ours=$(median "$1") theirs=$(median "$2")
  for what in "$1" "$2"; do
    rows+=("$what|$(human "$(median "$what")")|$(human "$(p90 "$what")")|$(wc -l <"$WORK/samples/$what")")
  done
  table "$NAME|median|p90|runs" "${rows[@]}"
  if [[ -n ${5:-} ]]; then ratio=$(calc %.1f "$theirs / $ours"); else ratio=$(calc %.3f "$ours / $theirs"); fi
  keep "$NAME" "$(row "$@")"
  printf '%s: ratio=%s difference_ms=%s\n' "$NAME" "$ratio" "$(calc %.0f "$(difference "$1" "$2")")"
}

# keep NAME LINE...: figures for the document, until the next measurement.
keep() {
  mkdir -p "$FIGURES"
  printf '%s\n' "${@:2}" >"$FIGURES/$1.md"
  machine >"$FIGURES/machine.md"
}

machine() {
  local cpu docker buildx program=
  cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
  docker=$(lab_docker version --format '{{.Server.Version}}')
  buildx=$(lab_docker buildx version | awk '{ print $2 }')
  [[ -z ${BENCH_GIVEN:-} ]] || program=' (a program given by BUILD_ONCE_BENCH_BIN)'
  printf 'Last measured on %s at commit %s%s, where a table is not older: %s cores (%s), load %s; Docker %s, buildx %s, AWS CLI %s.\nMedians, 90th percentile in brackets.\n' \
    "$(date -u +%F)" "$(git -C "$REPO_DIR" describe --always --dirty)" "$program" "$(nproc)" "$cpu" \
    "$(cut -d' ' -f1 /proc/loadavg)" "$docker" "$buildx" "$("$BIN/aws" --version 2>&1 | sed 's|aws-cli/\([^ ]*\).*|\1|')"
}

# write_figures: what was kept, between the document's two markers.
write_figures() {
  local figures name
  figures=$FIGURES/all.md
  {
    cat "$FIGURES/machine.md"
    printf '\n| case | build-once | without it | ratio | target | command |\n| --- | --- | --- | --- | --- | --- |\n'
    for name in hit alias merge pipeline cold warm many context; do
      [[ ! -r $FIGURES/$name.md ]] || cat "$FIGURES/$name.md"
    done
    for name in cache overhead wide refused hostile key; do
      [[ ! -r $FIGURES/$name.md ]] || { echo && cat "$FIGURES/$name.md"; }
    done
  } >"$figures"
  awk -v figures="$figures" '
    /<!-- figures: end -->/ { inside = 0 }
    !inside
    /<!-- figures: begin -->/ { inside = 1; while ((getline line < figures) > 0) print line }' "$DOC" >"$DOC.new"
  cat "$DOC.new" >"$DOC"
  rm "$DOC.new"
  say "figures written to docs/benchmarks.md"
}
