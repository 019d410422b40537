#!/usr/bin/env bash
# GitHub's workflow runner on this machine: runs a workflow, then answers what came of it.
# Sourced, never run. Needs the lab's environment and jq.
set -euo pipefail

# act_prepare FOLDER: what act wants of a machine. The action is a folder with what a runner would
# download of it; the whole clone holds gigabytes below target/.
act_prepare() {
  ACT_FOLDER=$1
  mkdir -p "$ACT_FOLDER/action" "$ACT_FOLDER/home/.config/act"
  cp -r "$REPO_DIR/action.yml" "$REPO_DIR/dist" "$REPO_DIR/prune" "$ACT_FOLDER/action/"
}

# act_push REPOSITORY OUTPUT [ARGUMENT...]: a push of HEAD to the default branch. What act and the
# jobs say goes to OUTPUT as JSON lines. Returns act's exit code.
act_push() { act_event "$1" push "${@:2}"; }

# act_event REPOSITORY EVENT OUTPUT [ARGUMENT...]: the same for any event: `push [REF]`, `pull_request NUMBER`
# of a branch of the repository, `labeled NUMBER LABEL` and `closed NUMBER` (a pull request of the repository too),
# `fork NUMBER [LABEL]`, or `workflow_dispatch [BRANCH [INPUT=VALUE...]]`.
act_event() {
  local repository=$1 kind=${2%% *} number words output=$3 slug=build-once/build-once
  read -ra words <<<"$2"
  number=${words[1]:-}
  shift 3
  local head owner=example name action=
  head=$(git -C "$repository" rev-parse HEAD)
  # The event must be one of the repository that act takes it for: build-once trusts no other.
  name=$(git -C "$repository" remote get-url origin)
  name=${name%.git} name=${name##*/}
  if [[ $kind == workflow_dispatch ]]; then
    jq -n --arg ref "refs/heads/${words[1]:-main}" --arg name "$name" '{ref: $ref,
      inputs: ($ARGS.positional | map(capture("^(?<key>[^=]*)=(?<value>.*)")) | from_entries),
      repository: {full_name: "example/\($name)", default_branch: "main"}, sender: {login: "demo"}}' --args "${words[@]:2}"
  elif [[ $kind == push ]]; then
    jq -n --arg after "$head" --arg name "$name" --arg ref "${words[1]:-refs/heads/main}" '{ref: $ref, after: $after,
      repository: {full_name: "example/\($name)", default_branch: "main"}, sender: {login: "demo"}}'
  else
    [[ $kind != fork ]] || owner=stranger
    [[ $kind != closed && $kind != labeled ]] || action=$kind
    jq -n --arg head "$head" --arg action "${action:-synchronize}" --arg named "${words[2]:-}" --argjson number "$number" --arg owner "$owner" --arg name "$name" '{action: $action, number: $number,
      repository: {full_name: "example/\($name)", default_branch: "main"}, sender: {login: "demo"},
      pull_request: {number: $number, user: {login: "demo"}, labels: [{name: $named}],
        head: {ref: "topic", sha: $head, repo: {id: ($owner | length), full_name: "\($owner)/\($name)"}},
        base: {ref: "main", repo: {id: ("example" | length), full_name: "example/\($name)"}}}}'
    kind=pull_request
  fi >"$ACT_FOLDER/event.json"
  # A home of its own, so that nobody's .actrc joins in; one job at a time, so that the times are
  # those of the job alone. Where images are shared comes from the lab, not from the caller.
  env -u BUILD_ONCE_REPOSITORY -u ECR_CACHE_URL -u BUILD_ONCE_EXTRA_ARGS HOME="$ACT_FOLDER/home" \
    act "$kind" --directory "$repository" --eventpath "$ACT_FOLDER/event.json" --json \
    --platform ubuntu-latest=-self-hosted --local-repository "$slug@v1=$ACT_FOLDER/action" \
    --action-cache-path "$ACT_FOLDER/cache" --no-cache-server --concurrent-jobs 1 \
    "$@" >"$output" 2>&1 </dev/null
}

# act_mark REPOSITORY: what tags call its GitHub repository (docs/trust.md, "Tags"). act names no number.
act_mark() {
  local name
  name=$(git -C "$1" remote get-url origin)
  name=${name%.git}
  printf 'r%.8s' "$(printf 'github.com\0example/%s' "${name##*/}" | sha256sum)"
}

# The lines that are JSON: act itself can print others. Sorted out once, because many questions are asked of one run.
act_lines() {
  [[ $1.lines -nt $1 ]] || jq -cR 'fromjson? // empty' "$1" >"$1.lines"
  cat "$1.lines"
}

# act_facts OUTPUT: what came of each job, as lines JOB<tab>NAME<tab>VALUE. The names are `result`,
# `exit-code` of the step that failed, and the outputs of the build-once step. A job without lines
# was skipped.
act_facts() {
  act_lines "$1" | jq -r 'select(.jobID) | [.jobID] + (
      if .command == "set-output" and (.stepID | length) == 1 then [.name, .arg]
      elif .jobResult then ["result", .jobResult]
      # What programs print is no source.
      elif .raw_output then empty
      else (.msg // "" | capture("^exit status (?<code>[0-9]+)") | ["exit-code", .code])
      end) | @tsv'
}

# act_summary OUTPUT JOB: the job's summary, as GitHub would show it.
act_summary() {
  act_lines "$1" | jq -rs --arg job "$2" 'map(select(.jobID == $job and .command == "summary")) | last | .content // ""'
}

# act_log OUTPUT: what a person would have seen.
act_log() {
  jq -Rr '. as $line | (fromjson? // {msg: $line}) | select(.command | IN("set-output", "summary", "stop-commands") | not)
    | select((.msg // "") | startswith("LocalRepositoryCache") | not)
    | "\(if .jobID then .jobID + " | " else "" end)\((.msg // "") | rtrimstr("\n"))"' "$1"
}
