#!/usr/bin/env bash
# A whole pipeline, examples/isaac-lab: the image job on one machine, then two test jobs on another; against the
# composite action that it replaces. What the jobs test is not counted, nor the runner's own part.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
begin pipeline
# The instance's parameter names no registry that answers.
new_repository down
DOWN=$PARAMETER
aws_call ssm AmazonSSM.PutParameter \
  "{\"Name\":\"${PARAMETERS[0]}\",\"Value\":\"127.0.0.1:9/ci\",\"Type\":\"String\",\"Overwrite\":true}" >/dev/null
export BUILDKIT_IMAGE
PROJECT=$WORK/isaac-lab IMAGE=isaac-lab-ci FILE=docker/Dockerfile.base
cp -r "$REPO_DIR/examples/isaac-lab" "$PROJECT"
cd "$PROJECT"
git init -q -b main
# A layer of 40 MB stands for the simulator's packages.
sed -i 's|sleep 1|head -c 30000000 /dev/urandom \| base64 >/workspace/packages|' "$FILE"
grep -q urandom "$FILE" || die "$NAME: the example's Dockerfile has another first step"

# The inputs of the example's own action, with what the lab has in place of its expressions.
inputs() {
  "$VENV/bin/python" - "$BUILD_ONCE_LAB_BASE_IMAGE" <<'PYTHON'
import re, sys, yaml
given = {"base": sys.argv[1], "mode": "", "repository": "", "base-login": ""}
action = yaml.safe_load(open(".github/actions/test-image/action.yml"))
for name, value in action["runs"]["steps"][0]["with"].items():
    text = re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: given[found[1]], str(value))
    print(f"INPUT_{name.upper().replace('-', '_')}={text}", end="\0")
PYTHON
}
while IFS= read -r -d '' input; do export "${input?}"; done < <(inputs)
# Both build on a builder that is made for the job.
export INPUT_DRIVER=docker-container INPUT_DRIVER_OPTS=network=host INPUT_BUILDKIT_IMAGE=$BUILDKIT_IMAGE

# The jobs of one side. `ours` checks the outcome, so that nothing else is measured.
ours() {
  : >"$WORK/runner/output"
  INPUT_MODE=$1 INPUT_SSM_PARAMETER=$PARAMETER "$PROGRAM" run
}
theirs() { "$BENCHES/composite.sh" "$IMAGE" "$PARAMETER" "$BUILD_ONCE_LAB_BASE_IMAGE" "$FILE"; }

# forget: as on a machine that has not seen this image.
forget() {
  docker image ls --format '{{.Repository}} {{.ID}}' |
    awk -v image="$IMAGE" -v repository="$REPOSITORY" 'index($1, image) || $1 == repository { print $2 }' |
    sort -u | xargs -r docker image rm --force >/dev/null 2>&1
}

# job COMMAND...: adds the time it takes to SPENT.
job() {
  local begin=${EPOCHREALTIME/./}
  "$@" >"$LOG" 2>&1 || die "$NAME: failed: $*: $(tail -n 5 "$LOG")"
  SPENT=$((SPENT + ${EPOCHREALTIME/./} - begin))
}

# pipeline SIDE CASE OURS THEIRS: three jobs. OURS and THEIRS: what the image job must come to. New content: the machine
# of the test jobs has not seen it.
pipeline() {
  local side=$1 case=$2 test came
  SPENT=0
  as_push
  GITHUB_JOB=image job "$side" build
  if [[ $side == ours ]]; then came=$(output outcome); else came=$(tail -n 1 "$LOG"); fi
  [[ $came == "$3" || $came == "$4" ]] || die "$NAME: $side, $case: $came"
  case $case in first | dependency | down) forget ;; esac
  for test in 1 2; do GITHUB_JOB=test-$test job "$side" pull; done
  sample "$side-$case" "$((SPENT / 1000)).$(printf %03d $((SPENT % 1000)))"
}

# round SIDE NUMBER: each case once, in a repository of its own.
round() {
  local side=$1 packages=source/isaaclab/pyproject.toml
  new_repository "$side-$2"
  forget
  sed -i "/^ENV LAB_RUN/d; /^FROM/a ENV LAB_RUN=$side-$2" "$FILE"
  commit "$side $2"
  pipeline "$side" first built built
  pipeline "$side" again reused-tag 'commit tag found here'
  echo "echo $side-$2" >>source/isaaclab/test.sh
  commit 'code'
  pipeline "$side" code reused-key 'dependency tag found: alias set'
  echo "# $side-$2" >>"$packages"
  commit 'dependency'
  pipeline "$side" dependency built built
  echo "# $side-$2, once more" >>"$packages"
  commit 'down'
  PARAMETER=$DOWN REPOSITORY=127.0.0.1:9/ci pipeline "$side" down built-local built
}
round_ours() { round ours "$1"; }
round_theirs() { round theirs "$1"; }

side_by_side round_ours round_theirs
rows=(
  "$(row ours-again theirs-again 'pipeline: unchanged re-run, three jobs' '≥ 10× faster' faster)"
  "$(row ours-first theirs-first 'its first run' '')"
  "$(row ours-code theirs-code 'a change of the code alone' '' faster)"
  "$(row ours-dependency theirs-dependency 'a change of a dependency' '≤ 1.05×')"
  "$(row ours-down theirs-down 'new content while the registry is down' '')"
)
keep pipeline "${rows[@]}"
printf '%s\n' "${rows[@]}"
