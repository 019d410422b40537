# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
example isaac-lab
ECR=$BUILD_ONCE_LAB_ECR_REPOSITORY # what the instance's SSM parameter names

# A runner's docker configuration whose credential store cannot keep a password, and programs that no job may need.
mkdir -p "$work/docker/cli-plugins" "$work/stubs"
ln -s "$BUILD_ONCE_LAB_BUILDX" "$work/docker/cli-plugins/docker-buildx"
printf '{"auths": {}, "credsStore": "no-such-store"}' >"$work/docker/config.json"
config=$(sha256sum <"$work/docker/config.json")
for tool in aws curl python3; do
  printf '#!/bin/sh\necho %s >>%s/needed\nexit 1\n' "$tool" "$work" >"$work/stubs/$tool"
  chmod +x "$work/stubs/$tool"
done

# The base image of the real pipeline needs a login: so does this one.
BASE=$BUILD_ONCE_LAB_REGISTRY/nvidia/isaac-sim:$MARK
(
  export DOCKER_CONFIG=$work/push
  cp -r "$work/docker" "$DOCKER_CONFIG"
  echo '{}' >"$DOCKER_CONFIG/config.json"
  docker login --username "$BUILD_ONCE_LAB_REGISTRY_USER" --password-stdin "$BUILD_ONCE_LAB_REGISTRY" \
    <<<"$BUILD_ONCE_LAB_REGISTRY_PASSWORD"
  docker buildx imagetools create --tag "$BASE" "$BUILD_ONCE_LAB_BASE_IMAGE"
) >"$OUT/base.log" 2>&1 || die "cannot publish the base image: $OUT/base.log"
key=(--var "BASE_IMAGE=$BASE" --secret "NGC_API_KEY=$BUILD_ONCE_LAB_REGISTRY_PASSWORD")

export DEMO_IMAGE=isaac-lab-ci DEMO_PROGRAM=$BUILD_ONCE_BIN BUILD_ONCE_BIN=$LAB_DIR/fresh-machine

# pipeline WHAT EVENT [ARGUMENT...]: on runners that have seen no image, each job on another; SAME_MACHINE=1: on the one
# of the run before.
pipeline() {
  DOCKER_CONFIG=$work/docker PATH=$work/stubs:$PATH DEMO_SAME_MACHINE=${SAME_MACHINE:-} \
    run "$1" "$2" --var "BASE_LOGIN=$BUILD_ONCE_LAB_REGISTRY $BUILD_ONCE_LAB_REGISTRY_USER NGC_API_KEY" "${@:3}"
  is "$(output image/result)" success 'the image job'
  is "$(output test/result)" success 'the test jobs'
  [[ ! -e $work/needed ]] || problems+=("needed: $(paste -sd' ' "$work/needed")")
  is "$(sha256sum <"$work/docker/config.json")" "$config" "the runner's docker configuration"
}
# tests NAME: the values of an output in both test jobs.
tests() {
  act_lines "$log.json" | jq -rs --arg name "$1" \
    'map(select(.jobID == "test" and .command == "set-output" and .name == $name)) | group_by(.job) | map(last.arg) | join(" ")'
}
change() {
  sed -i "s/\"torch\"/\"torch\", \"$1\"/" "$repository/source/isaaclab/pyproject.toml"
  commit "Depend on $1"
}

# One after the other, because the lab's jobs share one engine, which forgets its images before each.
sed -i 's/fail-fast: false/&\n      max-parallel: 1/' "$repository/.github/workflows/test.yml"

commit 'First commit'
pipeline 'the first push: one job builds, two pull' push "${key[@]}"
is "$(output image/outcome)" built 'the outcome'
grep -q "built $ECR@$(output image/digest)" "$log.log" || problems+=("it is not in $ECR")
is "$(tests outcome)" 'reused-tag reused-tag' 'the test jobs'
is "$(tests digest)" "$(output image/digest) $(output image/digest)" 'their image'
over

SAME_MACHINE=1 pipeline 'the same commit again, on the same machines' push "${key[@]}"
is "$(output image/outcome)" reused-tag 'the outcome'
is "$(tests outcome)" 'reused-local reused-local' 'the test jobs'
over

echo 'echo "more"' >>"$repository/source/isaaclab/test.sh"
commit 'Change the code'
before=$(output image/digest)
pipeline 'a change of the code: the image gets another name' push "${key[@]}"
is "$(output image/outcome)" reused-key 'the outcome'
is "$(tests outcome)" 'reused-tag reused-tag' 'the test jobs'
is "$(output image/digest)" "$before" 'the image'
over

change tensordict
pipeline 'a change of a dependency: built with the layer cache' push "${key[@]}"
is "$(output image/outcome)" built 'the outcome'
holds "$(output image/cached-steps) > 0" 'steps from the cache'
is "$(tests outcome)" 'reused-tag reused-tag' 'the test jobs'
over

change gymnasium
pipeline 'a pull request builds its own' 'pull_request 7' "${key[@]}"
is "$(output image/zone)" pr 'the zone'
is "$(output image/outcome)" built 'the outcome'
is "$(tests outcome)" 'reused-tag reused-tag' 'the test jobs'
pull=$(output image/digest)
over

SAME_MACHINE=1 pipeline 'main does not take the image of a pull request' push "${key[@]}"
is "$(output image/outcome)" built 'the outcome'
[[ $(output image/digest) != "$pull" ]] || problems+=('the image is the one of the pull request')
! grep -q 'importing cache manifest from .*pr-' "$log.log" || problems+=('a cache of a pull request was read')
over

change skrl
pipeline 'a fork, without the key of the second registry' 'fork 8'
is "$(output image/zone)" fork 'the zone'
is "$(output image/outcome)" built-local 'the outcome'
is "$(tests outcome)" 'built-local built-local' 'the test jobs'
is "$(tests degraded)" 'true true' 'degraded'
grep -q '^test |.*::warning.*this job builds it' "$log.log" || problems+=('no warning')
over

private=(--var "BASE_IMAGE=$BASE" --var "BASE_LOGIN=$BUILD_ONCE_LAB_REGISTRY $BUILD_ONCE_LAB_REGISTRY_USER NGC_API_KEY")
DOCKER_CONFIG=$work/docker run 'a fork whose base image needs the key: the failure says so' 'fork 9' "${private[@]}"
problems=()
is "$(output image/result)" failure 'the image job'
is "$(output image/failure-cause)" base-not-found 'the cause'
grep -q "::error.*$BASE.*asks for a login and there is none" "$log.log" || problems+=('the failure does not say so')
over

pipeline 'the ECR_CACHE_URL of the runner comes before its parameter' push "${key[@]}" --env "ECR_CACHE_URL=$REGISTRY"
is "$(output image/outcome)" built 'the outcome'
is "$(digest "$REGISTRY" "sha-$(mark)-isaac-lab-ci-$(git -C "$repository" rev-parse HEAD)")" "$(output image/digest)" 'the image there'
over

pipeline 'the input comes before both' push "${key[@]}" --env ECR_CACHE_URL=127.0.0.1:9/ci --var "ECR_REPOSITORY=$REGISTRY"
is "$(output image/outcome)" reused-tag 'the outcome'
over

change rl-games
pipeline 'no registry at all: each job builds' push "${key[@]}" --env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9
is "$(output image/outcome)" built-local 'the outcome'
is "$(tests outcome)" 'built-local built-local' 'the test jobs'
over

change onnx
SAME_MACHINE=1 pipeline 'the registry is down: one build for each machine' push "${key[@]}" --env ECR_CACHE_URL=127.0.0.1:9/ci
is "$(output image/outcome)" built-local 'the outcome'
is "$(output image/degraded)" true 'degraded'
is "$(tests outcome)" 'reused-local reused-local' 'the test jobs'
grep -q '::warning' "$log.log" || problems+=('no warning')
over
